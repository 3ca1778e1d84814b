"""Proofs: curve arithmetic, commitments and what is built on them. Knows nothing of rounds, stores or chains.

    curve -> commitment -> settlement      `circuits` are circom's texts, `keys` what is made of them
          -> groth16 ---->                 `keccak` and `bounded_json` serve all
"""
