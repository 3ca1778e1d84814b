"""Groth16 over BN254 without Node: files, witness, prover, verifier and development keys."""
