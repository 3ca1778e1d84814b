"""What every party must agree on, as pure functions of values: no clock, no network, no randomness.

Twins of `contracts/libraries`: the same vectors pass through both.
"""
