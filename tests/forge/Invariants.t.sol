// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEscrow} from "../../contracts/interfaces/IEscrow.sol";
import {IRoundLedger} from "../../contracts/interfaces/IRoundLedger.sol";
import {Heads} from "../../contracts/libraries/Heads.sol";
import {Base} from "./Base.sol";
import {LedgerHandler} from "./LedgerHandler.sol";

/// The money invariants of tests/invariants/README.md, by their numbers, after random calls.
contract LedgerInvariants is Base {
    LedgerHandler private handler;

    function setUp() public {
        handler = new LedgerHandler();
        targetContract(address(handler));
    }

    /// The handler's calls do land: otherwise the invariants would be about nothing.
    function test_theHandlerReachesEveryEnd() public {
        for (uint256 i = 0; i < 5; ++i) {
            handler.play(i);
        }
        assertEq(handler.seals(), 5, "seals");
        handler.claim(2, 1);
        assertLe(1, handler.claimedSum(), "claimed");
        uint256 task = handler.task();
        handler.challenge(4, 10);
        assertTrue(handler.views().isChallenged(task, 4), "challenged");
        handler.judge(4, true);
        handler.bond(1);
        handler.seal(7);
        assertEq(handler.seals(), 6, "sealed again");
        handler.roster(3);
        handler.advance(0);
        assertTrue(handler.ledger().head(task).phase == IRoundLedger.Phase.Compensated, "compensated");
        handler.wait(149);
        handler.close();
        handler.compensate(0);
        (uint256 total, uint256 paid,,,,) = handler.settlement().settlement(task);
        assertLe(1, paid, "compensation");
        assertLe(paid, total, "compensation inside its total");
        invariant_1_conservation();
    }

    /// 1: what came in = what went out + what the escrow holds = what it owes.
    function invariant_1_conservation() public view {
        uint256 held = handler.token().balanceOf(address(handler.escrow()));
        assertEq(held, handler.deposited() - handler.withdrawn(), "in = out + held");
        assertEq(held, handler.owed(), "held = owed");
    }

    /// 2, 6: claims never exceed the pot, nor what the rounds so far could allot.
    function invariant_6_claimsStayInsideThePot() public view {
        uint256 task = handler.task();
        IEscrow.Account memory a = handler.escrow().account(task);
        assertLe(a.paid, a.funded, "paid <= funded");
        assertEq(a.paid, handler.claimedSum(), "paid = claims");
        uint256 bounty = handler.POT() * handler.ROUNDS();
        assertLe(a.funded, bounty + handler.views().bonus(task), "funded <= bounty + bonus");
    }

    /// 3: the head stays inside the task, and an ended task stays ended.
    function invariant_3_headStaysInside() public view {
        IRoundLedger.Head memory h = handler.ledger().head(handler.task());
        assertLe(h.round, h.rounds, "round <= rounds");
        assertTrue((h.round == h.rounds) == (h.phase == IRoundLedger.Phase.Done), "all sealed = done");
        assertTrue(!h.closed || uint8(h.phase) >= uint8(IRoundLedger.Phase.Done), "closed only at the end");
        assertTrue(!h.closed || !h.challenged, "closed without disputes");
        bool ended = handler.registry().task(handler.task()).ended;
        bool over = h.phase == IRoundLedger.Phase.Refunded || h.phase == IRoundLedger.Phase.Compensated;
        assertTrue(ended == over, "ended = refunded or compensated");
    }

    /// 15: seats are dense from 9 on, and unique.
    function invariant_15_seatsAreDense() public view {
        uint256 task = handler.task();
        assertEq(handler.views().seats(task), 11, "two trainers joined, nobody twice");
        for (uint256 i = 0; i < 2; ++i) {
            IEscrow.Tenure memory t = handler.escrow().tenure(task, handler.people(i));
            assertEq(t.seat, 9 + i, "seat");
            assertLe(t.joinedAt, t.leftAt == 0 ? type(uint40).max : t.leftAt, "joined <= left");
        }
    }

    /// 13: rounds that had a roster once are never fewer than the rounds sealed now.
    function invariant_13_rosteredRoundsAreRemembered() public view {
        IRoundLedger.Head memory h = handler.ledger().head(handler.task());
        assertLe(h.round, handler.views().everRostered(handler.task()), "round <= ever rostered");
    }
}

/// The packed head: every field keeps its place whatever its neighbours are.
contract HeadsTest is Base {
    using Heads for uint256;

    function testFuzz_step_changesOnlyItsFields(uint256 head, uint40 time) public {
        head = head & ~(uint256(0xf) << 236);
        vm.warp(time);
        uint256 next = head.step(IRoundLedger.Phase.Rostered);
        assertEq(next.aggregator(), head.aggregator(), "aggregator");
        assertEq(next.round(), head.round(), "round");
        assertEq(next.rounds(), head.rounds(), "rounds");
        assertEq(next.index(), head.index(), "index");
        assertEq(next.time(), time, "time");
        assertTrue(next.phase() == IRoundLedger.Phase.Rostered, "phase");
        uint256 kept = Heads.BONDED | Heads.FORCED | Heads.CHALLENGED | Heads.HAS_BONUS | Heads.CLOSED;
        assertEq(next & kept, head & kept, "flags");
        assertEq(next & Heads.TAKEOVER, 0, "takeover");
    }

    function testFuzz_sealed_movesOneRound(uint256 head, uint40 time, uint16 next) public {
        vm.warp(time);
        uint256 now_ = head.sealed_(next, IRoundLedger.Phase.Open);
        assertEq(now_.round(), next, "round");
        assertEq(now_.rounds(), head.rounds(), "rounds");
        assertEq(now_.aggregator(), head.aggregator(), "aggregator");
        assertEq(now_.index(), head.index(), "index");
        assertEq(now_.time(), time, "time");
        assertEq(now_ & (Heads.FORCED | Heads.TAKEOVER), 0, "flags of the phase");
    }

    function testFuzz_permits_isTheConjunction(uint256 head, address caller, uint256 number, bool same) public pure {
        head = (head & ~(uint256(0xf) << 236)) | (uint256(1) << 236);
        if (same) (caller, number) = (head.aggregator(), head.round());
        bool expected = head.aggregator() == caller && head.round() == number && head & Heads.BONDED != 0
            && head & Heads.CHALLENGED == 0;
        assertTrue(head.permits(caller, number, Heads.OPEN) == expected, "permits");
        assertTrue(!head.permits(caller, number, Heads.ROSTERED), "other phase");
    }

    function testFuzz_handOver_keepsTheRest(uint256 head, address next, uint8 place, bool bonded) public pure {
        place %= 16;
        uint256 after_ = head.handOver(next, place, bonded);
        assertEq(after_.aggregator(), next, "aggregator");
        assertEq(after_.index(), place, "index");
        assertTrue((after_ & Heads.BONDED != 0) == bonded, "bonded");
        assertEq(after_.time(), head.time(), "time");
        assertEq(after_.round(), head.round(), "round");
        assertEq(after_.life(), head.life(), "life");
    }

    function testFuzz_fallBack_startsALife(uint256 head, uint16 to) public pure {
        uint256 after_ = head.fallBack(to);
        assertEq(after_.round(), to, "round");
        assertEq(after_.life(), (head.life() + 1) % 256, "life");
        uint256 cleared = (uint256(0xffff) << 200) | (uint256(0xff) << 240) | Heads.FORCED;
        assertEq(after_ & ~cleared, head & ~cleared, "the rest");
        assertEq(after_ & Heads.FORCED, 0, "forced");
    }
}
