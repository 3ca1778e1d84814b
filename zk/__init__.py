"""Proofs: curve arithmetic, commitments, circuits and what is built on them. Knows nothing of rounds, stores or chains.

    curve -> commitment                         what a sum is the sum of
          -> circuits -> compile_program -> settlement      `poseidon`, `keccak` and `bounded_json` serve all
          -> groth16 ------------------------->
"""
