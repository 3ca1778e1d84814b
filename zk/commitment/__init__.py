"""Pedersen vector commitments, and what is proved about them.

    generators, transcript -> pedersen (commit, open) -> aggregate_proof (sums), knowledge (an opening is known)
    dleq (one secret behind two points) ; merkle (chunk points) ; integer_bounds (where modulo r means integers)
"""
