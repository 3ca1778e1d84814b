"""How amounts are told to people. Exact values stay integers of wei; these are words.

Tests: tests/unit/cli/test_cli_values.py
"""

from __future__ import annotations

TOKEN = 10**18  # wei; every amount of a task's token is shown with 18 decimals
_SHOWN = 10**12  # wei in the last decimal shown


def tokens(wei: int) -> str:
    """Show wei as tokens, rounded down to 6 decimals; what is less than the last one as "<0.000001"."""
    if 0 < wei < _SHOWN:
        return "<0.000001"
    sign, wei = ("-", -wei) if wei < 0 else ("", wei)
    whole, rest = divmod(wei, TOKEN)
    fraction = f"{rest // _SHOWN:06d}".rstrip("0")
    return f"{sign}{whole:,}{'.' + fraction if fraction else ''}"
