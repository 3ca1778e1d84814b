// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Escrow} from "../../contracts/round/Escrow.sol";
import {FaucetToken} from "../../contracts/FaucetToken.sol";
import {RoundLedger} from "../../contracts/round/RoundLedger.sol";
import {Settlement} from "../../contracts/round/Settlement.sol";
import {TaskRegistry} from "../../contracts/round/TaskRegistry.sol";
import {IEscrow} from "../../contracts/interfaces/IEscrow.sol";
import {IRoundLedger} from "../../contracts/interfaces/IRoundLedger.sol";
import {ITaskRegistry} from "../../contracts/interfaces/ITaskRegistry.sol";
import {MerkleSum} from "../../contracts/libraries/MerkleSum.sol";
import {LedgerOracle} from "../../contracts/mocks/LedgerOracle.sol";
import {MockDisputes} from "../../contracts/mocks/MockDisputes.sol";
import {Cheats} from "./Base.sol";

/// Random calls on one task with two trainers and two aggregators. It deploys everything, plays every part, and counts
/// what went in and out. Calls that the contracts refuse are swallowed: the invariants are about what remains.
contract LedgerHandler {
    Cheats private constant vm = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 public constant POT = 1_003;
    uint256 public constant BOND = 1_010;
    uint256 public constant STAKE = 500;
    uint256 public constant ROUNDS = 6;

    FaucetToken public immutable token;
    Escrow public immutable escrow;
    TaskRegistry public immutable registry;
    RoundLedger public immutable ledger;
    Settlement public immutable settlement;
    MockDisputes public immutable disputes;
    LedgerOracle public immutable views;
    uint256 public immutable task;

    address[5] public people = [address(0xA11CE), address(0xB0B), address(0xA661), address(0xA662), address(0xACC)];
    address[] private _aggregators;
    uint256 public deposited;
    uint256 public withdrawn;
    uint256 public seals;
    uint256 public claimedSum;
    mapping(uint256 round => IRoundLedger.SealRecord) private _records;
    mapping(uint256 round => IRoundLedger.RosterRecord) private _rosters;
    mapping(uint256 round => uint256[2]) private _amounts;

    constructor() {
        vm.warp(1_700_000_000);
        address[6] memory made;
        // a contract's first creation has nonce 1
        for (uint256 i = 0; i < 6; ++i) {
            made[i] = address(uint160(uint256(keccak256(abi.encodePacked(hex"d694", address(this), uint8(i + 1))))));
        }
        token = new FaucetToken();
        escrow = new Escrow(made[2], made[3], made[4], made[5]);
        registry = new TaskRegistry(made[1], made[3], address(this));
        ledger = new RoundLedger(made[1], made[2], made[4], made[5]);
        settlement = new Settlement(made[1], made[2], made[3]);
        disputes = new MockDisputes(made[3], made[1]);
        views = new LedgerOracle(address(ledger));
        require(address(disputes) == made[5], "addresses were not predicted");
        _aggregators = [people[2], people[3]];
        token.mint(address(this), POT * ROUNDS);
        token.approve(address(escrow), type(uint256).max);
        for (uint256 i = 0; i < 5; ++i) {
            token.mint(people[i], 100_000);
            vm.prank(people[i]);
            token.approve(address(escrow), type(uint256).max);
        }
        task = registry.openTask(_params());
        deposited = POT * ROUNDS;
        bond(0);
        join(0, 0);
        join(1, 77);
    }

    function _params() private view returns (ITaskRegistry.TaskParams memory p) {
        p.token = address(token);
        p.bounty = uint128(POT * ROUNDS);
        p.pot = uint128(POT);
        p.stake = uint128(STAKE);
        p.bond = uint128(BOND);
        p.rounds = uint16(ROUNDS);
        p.spec = keccak256("spec");
        p.windows = ITaskRegistry.Windows(60, 200, 40, 10, 100, 150, 80, 1_000);
        p.aggregators = _aggregators;
    }

    // --- calls ---

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + 1 + seconds_ % 150);
    }

    function join(uint256 who, uint256 extra) public {
        uint256 stake = STAKE + extra % 100;
        vm.prank(people[who % 2]);
        try registry.join(task, stake, keccak256("binding"), ITaskRegistry.Ticket(new bytes32[](0), 0, "")) {
            deposited += stake;
        } catch {}
    }

    function leaveTask(uint256 who) external {
        vm.prank(people[who % 2]);
        try registry.leaveTask(task) {} catch {}
    }

    function bond(uint256 place) public {
        vm.prank(people[2 + place % 2]);
        try ledger.bondAggregator(task, _aggregators, place % 2, BOND) {
            deposited += BOND;
        } catch {}
    }

    function unbond(uint256 place) external {
        vm.prank(people[2 + place % 2]);
        try ledger.unbondAggregator(task) {} catch {}
    }

    function exit(uint256 who) external {
        vm.prank(people[who % 5]);
        try escrow.exit(task) {} catch {}
    }

    /// A whole round by whoever is the aggregator.
    function play(uint256 share) external {
        bond(ledger.head(task).index);
        roster(share);
        seal(share);
    }

    /// Goes to the start of the window first, so that most rosters and seals land.
    function roster(uint256 share) public {
        IRoundLedger.Head memory h = ledger.head(task);
        _go(h.phase == IRoundLedger.Phase.Open);
        uint128 first = uint128(1 + share % 1_000);
        (bytes32 root,) = _tree(first, 1_000);
        vm.prank(h.aggregator);
        try ledger.rosterRound(task, h.round, root, 2, first + 1_000) {
            _rosters[h.round] =
                IRoundLedger.RosterRecord(root, 2, first + 1_000, 11, uint40(block.timestamp), h.aggregator, h.life);
        } catch {}
    }

    function seal(uint256 share) public {
        IRoundLedger.Head memory h = ledger.head(task);
        _go(h.phase == IRoundLedger.Phase.Rostered);
        uint256 due = views.allotted(task, h.round);
        uint256 first = share % (due + 1);
        (bytes32 root,) = _tree(uint128(first), uint128(due - first));
        IRoundLedger.SealInput memory given = IRoundLedger.SealInput(
            keccak256("bundle"), keccak256("model"), 0, uint40(block.timestamp - 1), root, uint128(due), 2
        );
        vm.prank(h.aggregator);
        try ledger.sealRound(task, h.round, given) {
            _keep(h.round, given, h.aggregator);
            _amounts[h.round] = [first, due - first];
            ++seals;
        } catch {}
    }

    function advance(uint256 late) external {
        if (late % 2 == 0) {
            (, uint256 to) = views.window(task);
            if (to > block.timestamp) vm.warp(to);
        }
        try ledger.advance(task, _aggregators) {} catch {}
    }

    function passRound(uint256 late) external {
        IRoundLedger.Head memory h = ledger.head(task);
        _go(late % 2 == 0);
        uint256 before = escrow.member(task, h.aggregator).stake;
        vm.prank(h.aggregator);
        try ledger.passRound(task, h.round, _aggregators) {} catch {}
        require(escrow.member(task, h.aggregator).stake == before, "a pass cost something");
    }

    function challenge(uint256 round, uint256 amount) external {
        round %= ROUNDS;
        amount %= 50;
        vm.prank(people[4]);
        try disputes.challenge(task, round, _records[round], amount) {
            deposited += amount;
        } catch {}
    }

    function judge(uint256 round, bool upheld) external {
        round %= ROUNDS;
        try disputes.judge(task, round, _records[round], upheld, people[4], 10, _aggregators) {} catch {}
    }

    function rosterFalls() external {
        uint256 round = ledger.head(task).round;
        bytes32 digest = views.rosterDigest(task, round, _rosters[round]);
        try disputes.fell(task, digest, _rosters[round].aggregator, _rosters[round].seats, people[4], _aggregators) {}
            catch {}
    }

    function slash(uint256 who, uint256 amount) external {
        try disputes.slash(task, people[who % 4], amount % 700, people[4], 2_500) {} catch {}
    }

    function claim(uint256 round, uint256 who) external {
        round %= ROUNDS;
        who %= 2;
        uint256[2] memory amounts = _amounts[round];
        IRoundLedger.Leaf memory leaf = _leaf(who, uint128(amounts[who]));
        IRoundLedger.ClaimRecord memory record = views.claimRecord(task, round, _records[round]);
        try ledger.claim(task, round, record, leaf, _path(1 - who, uint128(amounts[1 - who]))) returns (uint256 paid) {
            claimedSum += paid;
        } catch {}
    }

    function close() external {
        uint256 round = ledger.head(task).round;
        IRoundLedger.ClaimRecord memory last;
        if (round != 0) last = views.claimRecord(task, round - 1, _records[round - 1]);
        try settlement.closeTask(task, last, _rosters[round]) {} catch {}
    }

    function compensate(uint256 who) external {
        uint256 round = ledger.head(task).round;
        who %= 2;
        uint128 first = _rosters[round].totalStake < 1_000 ? 0 : _rosters[round].totalStake - 1_000;
        uint128[2] memory amounts = [first, uint128(1_000)];
        bytes memory path = _path(1 - who, amounts[1 - who]);
        try settlement.claimCompensation(task, round, _rosters[round], _leaf(who, amounts[who]), path) {} catch {}
    }

    function sweep(uint256 who) external {
        try settlement.sweepCompensation(task) {} catch {}
        try settlement.claimResidual(task, people[who % 2]) {} catch {}
    }

    function withdraw(uint256 who) external {
        address to = who % 6 == 5 ? address(this) : people[who % 6];
        try escrow.withdraw(task, to) returns (uint256 amount) {
            withdrawn += amount;
        } catch {}
    }

    // --- reading ---

    /// Pots, stakes, credits and bonds: what the escrow owes.
    function owed() external view returns (uint256 sum) {
        IEscrow.Account memory a = escrow.account(task);
        sum = a.funded - a.paid;
        for (uint256 i = 0; i < 7; ++i) {
            address who = i < 5 ? people[i] : i == 5 ? address(this) : address(0);
            IEscrow.Member memory m = escrow.member(task, who);
            sum += uint256(m.stake) + m.credit + escrow.bondOf(task, who);
        }
    }

    // --- helpers ---

    function _go(bool wanted) private {
        (uint256 from,) = views.window(task);
        if (wanted && from > block.timestamp) vm.warp(from);
    }

    function _keep(uint256 round, IRoundLedger.SealInput memory given, address aggregator) private {
        _records[round] = IRoundLedger.SealRecord({
            rosterDigest: views.rosterDigest(task, round, _rosters[round]),
            bundle: given.bundle,
            model: given.model,
            trace: given.trace,
            asOf: given.asOf,
            forced: 0,
            claimRoot: given.claimRoot,
            claimTotal: given.claimTotal,
            claimCount: given.claimCount,
            sealedAt: uint40(block.timestamp),
            aggregator: aggregator
        });
    }

    function _leaf(uint256 who, uint128 amount) private view returns (IRoundLedger.Leaf memory) {
        return IRoundLedger.Leaf(uint32(who), people[who], amount, bytes32(who));
    }

    function _tree(uint128 first, uint128 second) private view returns (bytes32 root, uint256 total) {
        bytes32 left = MerkleSum.leafHash(0, people[0], first, 0);
        bytes32 right = MerkleSum.leafHash(1, people[1], second, bytes32(uint256(1)));
        return (MerkleSum.nodeHash(first, left, second, right), uint256(first) + second);
    }

    function _path(uint256 other, uint128 amount) private view returns (bytes memory) {
        bytes32 hash = MerkleSum.leafHash(uint32(other), people[other], amount, bytes32(other));
        return abi.encodePacked(amount, hash);
    }
}
