"""Proofs: curve arithmetic, commitments and what is built on them. Knows nothing of rounds, stores or chains."""
