// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";

/// @title Heads
/// @notice The packed head slot of a task and the packed word of its windows. Everything that a roster or a seal must
/// know lies in these two, so that a round reads two slots and writes two.
///
///   head     aggregator 160 | time 40 | round 16 | rounds 16 | index 4 | phase 4 | life 8 | flags 8   from the low end
///   windows  minRound, roster, forceInclude, reveal, seal, challenge 24 each | pot 80 | seats 24 | ring 8
///
/// The takeover window is read by rounds that go wrong only, so it lies with the terms.
library Heads {
    uint256 internal constant MAX_AGGREGATORS = 8;
    /// @notice Seats that exist from the opening on: one for each place of the longest list, and the reference party's. The
    /// first trainer's is the next one (IEscrow.Tenure).
    uint256 internal constant FIRST_SEATS = MAX_AGGREGATORS + 1;

    uint256 internal constant BONDED = 1 << 248;
    uint256 internal constant TAKEOVER = 1 << 249;
    uint256 internal constant FORCED = 1 << 250;
    uint256 internal constant CHALLENGED = 1 << 251;
    uint256 internal constant HAS_BONUS = 1 << 252;
    uint256 internal constant CLOSED = 1 << 253;

    uint256 private constant TIME_AT = 160;
    uint256 private constant ROUND_AT = 200;
    uint256 private constant ROUNDS_AT = 216;
    uint256 private constant INDEX_AT = 232;
    uint256 private constant PHASE_AT = 236;
    uint256 private constant LIFE_AT = 240;
    uint256 private constant LIFE_MASK = 0xff << LIFE_AT;
    /// @dev What a step rewrites: time, phase, and the flags that belong to one phase.
    uint256 private constant STEP_MASK = ((2 ** 40 - 1) << TIME_AT) | (0xf << PHASE_AT) | TAKEOVER;
    uint256 private constant HAND_OVER_MASK = (2 ** 160 - 1) | (0xf << INDEX_AT) | BONDED;

    uint256 private constant PERMIT_MASK =
        (2 ** 160 - 1) | (0xffff << ROUND_AT) | (0xf << PHASE_AT) | BONDED | CHALLENGED;

    /// @notice What `permits` needs in the phase Open, and in Rostered.
    uint256 internal constant OPEN = (uint256(IRoundLedger.Phase.Open) << PHASE_AT) | BONDED;
    uint256 internal constant ROSTERED = (uint256(IRoundLedger.Phase.Rostered) << PHASE_AT) | BONDED;

    uint256 private constant POT_AT = 144;
    uint256 private constant SEATS_AT = 224;
    uint256 private constant RING_AT = 248;
    /// @notice One seat in a word of windows.
    uint256 internal constant ONE_SEAT = 1 << SEATS_AT;

    /// @notice What the ring has in the place of a round that has neither roster nor seal any more; no digest.
    bytes32 internal constant VOID = bytes32(uint256(1));
    uint256 internal constant MAX_WINDOW = 2 ** 24 - 1;
    uint256 internal constant MAX_RING = 64;

    function create(address first, uint256 count) internal view returns (uint256) {
        return uint256(uint160(first)) | (block.timestamp << TIME_AT) | (count << ROUNDS_AT)
            | (uint256(IRoundLedger.Phase.Open) << PHASE_AT);
    }

    function aggregator(uint256 head) internal pure returns (address) {
        return address(uint160(head));
    }

    function time(uint256 head) internal pure returns (uint256) {
        return (head >> TIME_AT) & (2 ** 40 - 1);
    }

    function round(uint256 head) internal pure returns (uint256) {
        return (head >> ROUND_AT) & 0xffff;
    }

    function rounds(uint256 head) internal pure returns (uint256) {
        return (head >> ROUNDS_AT) & 0xffff;
    }

    function index(uint256 head) internal pure returns (uint256) {
        return (head >> INDEX_AT) & 0xf;
    }

    function phase(uint256 head) internal pure returns (IRoundLedger.Phase) {
        return IRoundLedger.Phase((head >> PHASE_AT) & 0xf);
    }

    /// @notice How often a roster or a seal of the task fell, modulo 256.
    function life(uint256 head) internal pure returns (uint256) {
        return (head >> LIFE_AT) & 0xff;
    }

    /// @notice Whether `caller` is the bonded current aggregator, the head works on `number` in phase `needed`, and no
    /// dispute is open: all of it in one comparison.
    /// @param needed {OPEN} or {ROSTERED}.
    function permits(uint256 head, address caller, uint256 number, uint256 needed) internal pure returns (bool) {
        uint256 wanted = uint256(uint160(caller)) | (number << ROUND_AT) | needed;
        // number <= 0xffff keeps it inside its field
        return (number >> 16) | ((head & PERMIT_MASK) ^ wanted) == 0;
    }

    /// @notice Return the head after a seal of its round: the next round opens now, or all are done.
    function sealed_(uint256 head, uint256 next, IRoundLedger.Phase phase_) internal view returns (uint256) {
        return (head & ~(STEP_MASK | (0xffff << ROUND_AT) | FORCED)) | (block.timestamp << TIME_AT) | (next << ROUND_AT)
            | (uint256(phase_) << PHASE_AT);
    }

    /// @notice Return the head in a new phase that begins now; a takeover ends with it.
    function step(uint256 head, IRoundLedger.Phase next) internal view returns (uint256) {
        return (head & ~STEP_MASK) | (block.timestamp << TIME_AT) | (uint256(next) << PHASE_AT);
    }

    /// @notice Return the head taken back to a round whose roster or seal fell: the next life, no forced list.
    /// @dev Lives come again after 256 falls, each of which voids a roster or a seal; what is kept by life is overwritten then.
    function fallBack(uint256 head, uint256 to) internal pure returns (uint256) {
        uint256 kept = head & ~((0xffff << ROUND_AT) | LIFE_MASK | FORCED);
        return kept | (to << ROUND_AT) | (((life(head) + 1) & 0xff) << LIFE_AT);
    }

    /// @notice Return the head with `seconds_` added to its clock.
    function delay(uint256 head, uint256 seconds_) internal pure returns (uint256) {
        return head + (seconds_ << TIME_AT);
    }

    /// @notice Return the head with another aggregator.
    function handOver(uint256 head, address next, uint256 place, bool bonded) internal pure returns (uint256) {
        return (head & ~HAND_OVER_MASK) | uint256(uint160(next)) | (place << INDEX_AT) | (bonded ? BONDED : 0);
    }

    /// @notice Return the packed word of windows, pot, seats and ring.
    function packWindows(uint256[6] memory windows_, uint256 pot_, uint256 seats_, uint256 ring_)
        internal
        pure
        returns (uint256 word)
    {
        for (uint256 i = 0; i < 6; ++i) {
            word |= windows_[i] << (24 * i);
        }
        word |= (pot_ << POT_AT) | (seats_ << SEATS_AT) | (ring_ << RING_AT);
    }

    /// @notice Window `place` (0 minRound .. 5 challenge) of a packed word, in seconds.
    function windowAt(uint256 word, uint256 place) internal pure returns (uint256) {
        // places are below 6
        unchecked {
            return (word >> (24 * place)) & MAX_WINDOW;
        }
    }

    function challengeWindow(uint256 word) internal pure returns (uint256) {
        return (word >> 120) & MAX_WINDOW;
    }

    function pot(uint256 word) internal pure returns (uint256) {
        return (word >> POT_AT) & (2 ** 80 - 1);
    }

    /// @notice How many seats of the task exist, taken or not.
    function seats(uint256 word) internal pure returns (uint256) {
        return (word >> SEATS_AT) & 0xffffff;
    }

    function ring(uint256 word) internal pure returns (uint256) {
        return word >> RING_AT;
    }

    /// @notice Where a round lies in the ring of a task that was opened: its size is not zero.
    function slotOf(uint256 word, uint256 round_) internal pure returns (uint256 slot) {
        assembly ("memory-safe") {
            slot := mod(round_, shr(RING_AT, word))
        }
    }

    /// @notice Return [from, to) of the roster window (Open) or the seal window (Rostered), where nobody took over.
    function stepWindow(uint256 head, uint256 word) internal pure returns (uint256 from, uint256 to) {
        from = time(head);
        // sums of a 40-bit time and at most three 24-bit windows
        unchecked {
            if ((head >> PHASE_AT) & 0xf == uint256(IRoundLedger.Phase.Open)) {
                to = from + ((word >> 24) & MAX_WINDOW);
                from += word & MAX_WINDOW;
            } else {
                from += ((word >> 48) & MAX_WINDOW) + ((word >> 72) & MAX_WINDOW);
                to = from + ((word >> 96) & MAX_WINDOW);
            }
        }
    }

    /// @notice Return the head as its fields.
    function unpack(uint256 head) internal pure returns (IRoundLedger.Head memory out) {
        out.aggregator = aggregator(head);
        out.time = uint40(time(head));
        out.round = uint16(round(head));
        out.rounds = uint16(rounds(head));
        out.index = uint8(index(head));
        out.phase = phase(head);
        out.bonded = head & BONDED != 0;
        out.takeover = head & TAKEOVER != 0;
        out.forced = head & FORCED != 0;
        out.challenged = head & CHALLENGED != 0;
        out.hasBonus = head & HAS_BONUS != 0;
        out.closed = head & CLOSED != 0;
        out.life = uint8(life(head));
    }

    /// @notice keccak256(abi.encode(task, round, record)).
    function digestOf(uint256 task, uint256 round_, IRoundLedger.ClaimRecord calldata record)
        internal
        pure
        returns (bytes32 digest)
    {
        // memory-safe: writes [m, m + 256) past the free pointer. The record is six static words, copied as they came; dirt
        // above a field's width makes another digest, which no ring holds, because `sealRound` encodes clean fields.
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, task)
            mstore(add(m, 32), round_)
            calldatacopy(add(m, 64), record, 192)
            digest := keccak256(m, 256)
        }
    }

    /// @notice The same of a seal record: the digest of the claim record that it stands for.
    function digestOf(
        uint256 task,
        uint256 round_,
        IRoundLedger.SealRecord calldata record,
        uint256 finalAt,
        uint256 slot
    ) internal pure returns (bytes32 digest) {
        // memory-safe: writes [m, m + 256) past the free pointer. `record` is eleven static words: rosterDigest, bundle, model,
        // trace, asOf, forced, claimRoot, claimTotal, claimCount, sealedAt, aggregator. First abi.encode of the first six and
        // the last, whose hash is the content; then task, round, content, claimRoot, claimTotal, claimCount, finalAt, slot.
        // Dirt above a field's width makes another digest, as above.
        assembly ("memory-safe") {
            let m := mload(0x40)
            calldatacopy(m, record, 192)
            calldatacopy(add(m, 192), add(record, 320), 32)
            mstore(add(m, 64), keccak256(m, 224))
            mstore(m, task)
            mstore(add(m, 32), round_)
            calldatacopy(add(m, 96), add(record, 192), 96)
            mstore(add(m, 192), finalAt)
            mstore(add(m, 224), slot)
            digest := keccak256(m, 256)
        }
    }
}
