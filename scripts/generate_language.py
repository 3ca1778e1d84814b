"""Write contracts/libraries/Language.sol, the numbers of the round program's language from the Python enumerations, and
PoseidonWords.sol, the constants of its hash.

    python scripts/generate_language.py            writes both
    python scripts/generate_language.py --check    exits 1 where one differs
"""

from __future__ import annotations

import sys
from enum import IntEnum
from pathlib import Path

from fl_platform.protocol.keypackage import KEYED_AGGREGATORS
from fl_platform.protocol.operations import PLAIN, Op
from fl_platform.protocol.program import MAGIC, Output
from fl_platform.protocol.rows import LARGEST_WEIGHT, STEP_POINT
from fl_platform.protocol.seats import REFERENCE_SEAT
from fl_platform.protocol.sources import MOST_FORCED, MOST_ROSTERED, Axis, Kind, Map, Refused, Source
from zk.poseidon import WIDTH, schedule

LIBRARIES = Path(__file__).resolve().parent.parent / "contracts" / "libraries"
PREFIXES: tuple[tuple[str, type[IntEnum]], ...] = (
    ("", Op), ("AXIS_", Axis), ("MAP_", Map), ("KIND_", Kind), ("SOURCE_", Source), ("REFUSED_", Refused),
    ("OUTPUT_", Output),
)  # fmt: skip


def language() -> str:
    """Return the library's text."""
    lines = [
        "// SPDX-License-Identifier: Apache-2.0",
        "// Written by scripts/generate_language.py from fl_platform/protocol: edit those.",
        "pragma solidity ^0.8.24;",
        "",
        "/// @title Language",
        "/// @notice The numbers of a round program: operations, axes, maps, kinds of cells, sources, outputs.",
        "library Language {",
        f"    uint8 internal constant FIRST_PLAIN = {int(min(PLAIN))};",
        f"    uint8 internal constant LAST_PLAIN = {int(max(PLAIN))};",
        f"    uint256 internal constant REFERENCE_SEAT = {REFERENCE_SEAT};",
        "    /// @notice Where in a program's header the columns of its outputs stand, 2 bytes each.",
        f"    uint256 internal constant HEADER_OUTPUTS = {len(MAGIC) + 2};",
        "    /// @notice The first so many of a task's aggregators get updates' keys.",
        f"    uint256 internal constant KEYED_AGGREGATORS = {KEYED_AGGREGATORS};",
        "    /// @notice Entries that a roster names at most, and receipts that are forced in beside them: as many as",
        "    /// a tape can have.",
        f"    uint256 internal constant MOST_ROSTERED = {MOST_ROSTERED};",
        f"    uint256 internal constant MOST_FORCED = {MOST_FORCED};",
        "    /// @notice Bits behind the point of the factor by which sums move a model; its largest integer.",
        f"    uint256 internal constant STEP_POINT = {STEP_POINT};",
        f"    uint256 internal constant LARGEST_WEIGHT = {LARGEST_WEIGHT};",
    ]
    for prefix, enumeration in PREFIXES:
        width = "uint8" if enumeration is Op else "uint256"
        lines.append("")
        lines += [f"    {width} internal constant {prefix}{one.name} = {int(one)};" for one in enumeration]
    return "\n".join([*lines, "}", ""])


def poseidon_words() -> str:
    """Return the text of the library of the hash's constants, in the order in which a permutation needs them."""
    fixed = schedule(WIDTH)
    partial = [turn.constant for block in fixed.blocks for turn in block.turns]
    words = [*(c for line in fixed.first for c in line), *partial, *(c for line in fixed.last for c in line)]
    words += [entry for row in fixed.matrix for entry in row]
    lines = [
        "// SPDX-License-Identifier: Apache-2.0",
        "// Written by scripts/generate_language.py from zk/poseidon.py: edit that.",
        "pragma solidity ^0.8.24;",
        "",
        "/// @title PoseidonWords",
        "/// @notice Constants of the hash of eight: of four full rounds nine each, of 63 one each, of four full ones",
        "/// nine each, then the matrix, row by row.",
        "library PoseidonWords {",
        "    function all() internal pure returns (bytes memory) {",
        '        return hex"' + words[0].to_bytes(32, "big").hex() + '"',
        *(f'            hex"{word.to_bytes(32, "big").hex()}"' for word in words[1:]),
    ]
    return "\n".join([*lines[:-1], lines[-1] + ";", "    }", "}", ""])


def main() -> int:
    """Write or check the file; return the exit code."""
    assert sorted(PLAIN) == list(range(min(PLAIN), max(PLAIN) + 1)), "plain operations must be one run of numbers"
    stale = 0
    for name, text in (("Language.sol", language()), ("PoseidonWords.sol", poseidon_words())):
        target = LIBRARIES / name
        if "--check" not in sys.argv[1:]:
            target.write_text(text)
        elif target.read_text() != text:
            print(f"{name} is not what the Python code says: run python scripts/generate_language.py")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
