"""BN254, from single points to sums of a million: `bn254` defines it, `engine` says what is needed, the rest is fast.

    bn254 -> engine (SlowEngine: py_ecc) ; kernels, mcl -> fast_engine, scalar_mul, pairing
"""
