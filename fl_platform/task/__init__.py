"""What every actor stands on: a task read from chain and store, updates opened, a party's folder.

    workspace (folder, wallets, chain, store)
       -> reading (the task: rules, rounds, documents, each checked against the digest that names it)
            -> decrypting (updates, with one party's key) ; validating, taping, stakes
"""
