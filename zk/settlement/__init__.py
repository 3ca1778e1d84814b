"""What a round pays, as a statement about its settlement cell, and its proof.

    circuit (a program's, of `zk.compile_program`) -> proof -> proof_file
    binding: to a place on chain, a key and who hands it in
"""
