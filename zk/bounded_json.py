"""Reading proof files, which anybody may have written: size, depth and digits are bounded before anything is computed.

Depth, because Python's parser recurses in C: with a raised recursion limit a deep document kills the process.

Tests: tests/unit/zk/settlement/test_proof_file.py
"""

from __future__ import annotations

import json
import re
from typing import Any

from fl_platform.errors import DocumentInvalid

MAX_BYTES = 64 * 1024  # a settlement of 64 slots is 12 kB
MAX_DEPTH = 8
# Below 2^260. Python's own int() reads underscores, spaces, signs and other scripts' digits: one number, many texts.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,78}")


def parse(text: str | bytes, *, what: str) -> Any:
    """Read JSON. Raises DocumentInvalid when too long, too deep or no JSON. Brackets in strings count as depth."""
    data = text.encode(errors="replace") if isinstance(text, str) else text
    if len(data) > MAX_BYTES:
        raise DocumentInvalid(f"{what}: {len(data)} bytes, limit {MAX_BYTES}; no proof is that long")
    depth = 0
    for byte in data:
        depth += (byte in b"[{") - (byte in b"]}")
        if depth > MAX_DEPTH:
            raise DocumentInvalid(f"{what}: nested deeper than {MAX_DEPTH} levels; ask its maker for the file again")
    try:
        return json.loads(data)
    except ValueError as error:
        raise DocumentInvalid(f"{what}: not JSON ({error}); ask its maker for the file again") from error


def number(value: object) -> int:
    """Read a natural number written as plain decimal text. Raises ValueError."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value) is None:
        raise ValueError(f"{str(value)[:80]!r} is not decimal text of at most 79 digits")
    return int(value)
