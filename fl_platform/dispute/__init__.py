"""One dispute: what can be asked of a sealed tape, what answers it, what binds it to the chain, and what to do next.

All but `referee`, which is the contract with a wallet, is pure.
"""
