// SPDX-License-Identifier: Apache-2.0
// Written by scripts/generate_language.py from fl_platform/protocol: edit those.
pragma solidity ^0.8.24;

/// @title Language
/// @notice The numbers of a round program: operations, axes, maps, kinds of cells, sources, outputs.
library Language {
    uint8 internal constant FIRST_PLAIN = 3;
    uint8 internal constant LAST_PLAIN = 17;
    uint256 internal constant REFERENCE_SEAT = 8;
    /// @notice Where in a program's header the columns of its outputs stand, 2 bytes each.
    uint256 internal constant HEADER_OUTPUTS = 6;
    /// @notice The first so many of a task's aggregators get updates' keys.
    uint256 internal constant KEYED_AGGREGATORS = 2;
    /// @notice Entries that a roster names at most, and receipts that are forced in beside them: as many as
    /// a tape can have.
    uint256 internal constant MOST_ROSTERED = 256;
    uint256 internal constant MOST_FORCED = 256;
    /// @notice Bits behind the point of the factor by which sums move a model; its largest integer.
    uint256 internal constant STEP_POINT = 40;
    uint256 internal constant LARGEST_WEIGHT = 2147483647;

    uint8 internal constant CONST = 0;
    uint8 internal constant SOURCE = 1;
    uint8 internal constant PREV = 2;
    uint8 internal constant ADD = 3;
    uint8 internal constant SUB = 4;
    uint8 internal constant MUL = 5;
    uint8 internal constant MULADD = 6;
    uint8 internal constant DIV = 7;
    uint8 internal constant MULDIV = 8;
    uint8 internal constant ROOT = 9;
    uint8 internal constant MIN = 10;
    uint8 internal constant MAX = 11;
    uint8 internal constant CLAMP = 12;
    uint8 internal constant LT = 13;
    uint8 internal constant EQ = 14;
    uint8 internal constant SEL = 15;
    uint8 internal constant BITS = 16;
    uint8 internal constant SHIFT = 17;
    uint8 internal constant GATHER = 18;
    uint8 internal constant MUST = 19;
    uint8 internal constant LEAST = 20;
    uint8 internal constant INVERSE = 21;
    uint8 internal constant CLAIMED = 22;
    uint8 internal constant DOT = 23;
    uint8 internal constant DOT_SHIFTED = 24;
    uint8 internal constant COMBINE = 25;
    uint8 internal constant STEP = 26;
    uint8 internal constant POSEIDON = 27;
    uint8 internal constant POSEIDON3 = 28;

    uint256 internal constant AXIS_ENTRY = 1;
    uint256 internal constant AXIS_OTHER = 2;
    uint256 internal constant AXIS_SEAT = 3;
    uint256 internal constant AXIS_BLOCK = 4;
    uint256 internal constant AXIS_DIRECTION = 5;
    uint256 internal constant AXIS_OTHER_DIRECTION = 6;
    uint256 internal constant AXIS_ENTRY_8 = 7;
    uint256 internal constant AXIS_ENTRY_64 = 8;
    uint256 internal constant AXIS_OTHER_8 = 9;
    uint256 internal constant AXIS_OTHER_64 = 10;
    uint256 internal constant AXIS_SEAT_8 = 11;
    uint256 internal constant AXIS_SEAT_64 = 12;
    uint256 internal constant AXIS_SEAT_512 = 13;
    uint256 internal constant AXIS_SEAT_4096 = 14;
    uint256 internal constant AXIS_SEAT_32768 = 15;

    uint256 internal constant MAP_OWN = 0;
    uint256 internal constant MAP_SWAPPED = 1;
    uint256 internal constant MAP_DIAGONAL = 2;
    uint256 internal constant MAP_BEFORE = 3;
    uint256 internal constant MAP_LAST = 4;

    uint256 internal constant KIND_NUMBER = 0;
    uint256 internal constant KIND_MODEL = 1;
    uint256 internal constant KIND_UPDATE = 2;
    uint256 internal constant KIND_SUMS = 3;
    uint256 internal constant KIND_FIELD = 4;

    uint256 internal constant SOURCE_WORD = 1;
    uint256 internal constant SOURCE_COUNT = 2;
    uint256 internal constant SOURCE_ROUND = 3;
    uint256 internal constant SOURCE_POT = 4;
    uint256 internal constant SOURCE_AGGREGATOR = 5;
    uint256 internal constant SOURCE_PARENT = 6;
    uint256 internal constant SOURCE_SEAT_OF = 7;
    uint256 internal constant SOURCE_STAKE = 8;
    uint256 internal constant SOURCE_ENTRY_PARENT = 9;
    uint256 internal constant SOURCE_LENGTH = 10;
    uint256 internal constant SOURCE_SAMPLES = 11;
    uint256 internal constant SOURCE_CONTENT = 12;
    uint256 internal constant SOURCE_REFUSED = 13;
    uint256 internal constant SOURCE_BLOCK_SIZE = 14;
    uint256 internal constant SOURCE_BLOCK_COUNTS = 15;
    uint256 internal constant SOURCE_FIRST_EXPONENT = 16;
    uint256 internal constant SOURCE_BLOCK_STEP_BITS = 17;
    uint256 internal constant SOURCE_BLOCK_NONNEGATIVE = 18;

    uint256 internal constant REFUSED_NO = 0;
    uint256 internal constant REFUSED_CONVICTED = 1;
    uint256 internal constant REFUSED_WITHHELD = 2;
    uint256 internal constant REFUSED_MISSING = 3;

    uint256 internal constant OUTPUT_EARNED = 0;
    uint256 internal constant OUTPUT_REPUTATION = 1;
    uint256 internal constant OUTPUT_TOTAL = 2;
    uint256 internal constant OUTPUT_SUMS = 3;
    uint256 internal constant OUTPUT_DIVISOR = 4;
    uint256 internal constant OUTPUT_EXPONENTS = 5;
    uint256 internal constant OUTPUT_MODEL = 6;
    uint256 internal constant OUTPUT_SETTLEMENT = 7;
}
