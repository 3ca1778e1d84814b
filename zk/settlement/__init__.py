"""The settlement of one round as a statement, and its proof.

    statement (the rule in plain integers: twin of circuits/settle.circom) -> inputs -> prove -> proof -> proof_file
    poseidon: the hash that binds the inputs
"""
