"""Games about a sealed tape on the real referee: a sealer shows what it sealed, a challenger asks and refutes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import numpy as np
from eth_abi.abi import encode

from fl_platform.dispute.answers import HeldTape
from fl_platform.dispute.claims import Claim, DotClaim
from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.next_moves import Ask, GivenDiffers, Lapse, Move, Refute, next_moves
from fl_platform.dispute.questions import (
    PART_BYTES,
    PARTS,
    PREFIXES,
    Answer,
    Node,
    Question,
    blocks_of,
    encoded_instruction,
)
from fl_platform.protocol.evaluation import evaluate
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.openings import instruction_path
from fl_platform.protocol.operations import HINTS, Op, wrap
from fl_platform.protocol.program import Program
from fl_platform.protocol.rows import SUM_BITS, row_leaf_hash
from fl_platform.protocol.sources import Axis, Kind
from fl_platform.protocol.tape import Given, Lengths, Place, Tape
from tests.support.contracts import World
from tests.support.evm import Contract, Reverted, account
from tests.support.integer_rows import IntegerRows
from tests.support.random_programs import Author, claimed_of, round_of

WINDOW, ANSWER = 10_000, 100  # seconds
FACTS = "(bytes32,(bytes32,bytes32,uint256,uint256[16]),uint256,uint256,uint256)"
TARGET = f"(({FACTS},uint256[],uint256,uint256,address,address),uint256[])"


@dataclass
class Court:
    """The referee on a chain of its own."""

    world: World = field(default_factory=World)
    keys: dict[bytes, bytes] = field(default_factory=dict)  # by target
    seals: dict[bytes, tuple[Program, int, tuple[object, ...]]] = field(default_factory=dict)  # by target; blocks

    def __post_init__(self) -> None:
        self.challenger, self.sealer = account("challenger").address, account("sealer").address
        deployer = account("deployer").address
        tapes, poseidon = (self.world.evm.create(deployer, name).address for name in ("Tapes", "Poseidon"))
        self.contract: Contract = self.world.evm.create(deployer, "RefereeHarness", tapes, poseidon)

    def register(self, tape: Tape, rows: IntegerRows, *, root: bytes | None = None) -> bytes:
        """Let a tape be sealed, or what has this root; return its target."""
        shape = rows.shape
        key = keccak256(tape.root + self.world.evm.now.to_bytes(8, "big") + random.randbytes(8))
        lengths = [0, *(tape.lengths.of(axis) for axis in Axis)]
        known = (tape.program.root, root or tape.root, len(tape.program.columns), lengths)
        facts = (key, known, shape.leaves, shape.counted_leaves, shape.update_bits)
        end = self.world.evm.now + WINDOW
        seal = (facts, list(shape.starts), end, ANSWER, self.challenger, self.sealer)
        target = encode([TARGET], [(seal, [])])
        self.contract.send(self.sealer, "register", target)
        self.keys[target], self.seals[target] = key, (tape.program, len(shape.starts) - 1, seal)
        return target

    def _about(self, target: bytes, question: Question) -> bytes:
        """Return a target with the blocks that a question is about, as the package sends it."""
        program, blocks, _ = self.seals[target]
        return self._showing(target, blocks_of(question, program, blocks))

    def _showing(self, target: bytes, blocks: tuple[int, ...]) -> bytes:
        return encode([TARGET], [(self.seals[target][2], list(blocks))])

    def fallen(self, target: bytes) -> bool:
        """Whether the seal fell."""
        return bool(self.contract.call("isFallen", target))

    def ask(self, target: bytes, question: Question, after: bytes = bytes(32)) -> int:
        """Ask; return the gas."""
        return self.contract.send(self.challenger, "ask", target, question.encoded(), after).gas

    def show(self, target: bytes, question: Question, answer: Answer) -> int:
        """Show; return the gas."""
        about = self._about(target, question)
        return self.contract.send(self.sealer, "show", about, question.encoded(), answer.encoded()).gas

    def dismiss(self, target: bytes, question: Question, words: bytes, path: tuple[bytes, ...]) -> int:
        """End a question that has no answer; return the gas."""
        instruction, about = encoded_instruction(words, path), self._about(target, question)
        return self.contract.send(self.sealer, "dismiss", about, question.encoded(), instruction).gas

    def send(self, target: bytes, claim: Claim) -> int:
        """Send a claim; return the gas."""
        about = self._showing(target, (claim.block,) if isinstance(claim, DotClaim) else ())
        return self.contract.send(self.challenger, claim.function, about, *claim.encoded()).gas


class PaperCourt:
    """A referee that takes every answer and every claim: a game by `next_moves` alone, without a chain."""

    claim: Claim | None = None

    def register(self, tape: Tape, rows: IntegerRows) -> bytes:
        """Return a name for a tape."""
        return tape.root

    def ask(self, target: bytes, question: Question) -> int:
        """Ask; there is no gas."""
        return 0

    def show(self, target: bytes, question: Question, answer: Answer) -> int:
        """Show; there is no gas."""
        return 0

    def send(self, target: bytes, claim: Claim) -> int:
        """Keep a claim for who decides it."""
        self.claim = claim
        return 0

    def fallen(self, target: bytes) -> bool:
        """Whether anything was claimed."""
        return self.claim is not None


@dataclass
class Liar(HeldTape):
    """A sealer whose answers fit its lies: parts add up to the cell, and prefixes end at the leaf that it sealed."""

    dice: random.Random = field(default_factory=lambda: random.Random(0))

    def answer(self, question: Question) -> Answer:
        """Return an answer that the contract takes."""
        honest = super().answer(question)
        if question.node is Node.SUMS:
            return self._fitted_parts(question, honest)
        if question.node is Node.PREFIXES:
            return self._fitted_prefixes(question, honest)
        return honest

    def _fitted_parts(self, question: Question, honest: Answer) -> Answer:
        at, parts = question.index % PARTS, list(honest.parts)
        told = honest.cell.value
        if honest.above:
            told = int.from_bytes(honest.above[PART_BYTES * at :][:PART_BYTES], "big", signed=True)
        parts[random.Random(repr(question)).randrange(len(parts))] += told - sum(parts)
        return replace(honest, parts=tuple(parts))

    def _fitted_prefixes(self, question: Question, honest: Answer) -> Answer:
        told = row_leaf_hash(question.leaf, honest.leaf.blind, honest.leaf.body)
        if honest.above:
            told = honest.above[32 * (question.index % PREFIXES) :][:32]
        if honest.hashes[-1] == told:
            return honest
        first = random.Random(repr(question)).randrange(len(honest.hashes))
        false = [keccak256(bytes([i])) for i in range(first, len(honest.hashes) - 1)]
        return replace(honest, hashes=(*honest.hashes[:first], *false, told))


@dataclass
class Game:
    """What a dispute took."""

    questions: int = 0
    windows: int = 0
    gas: int = 0
    refute_gas: int = 0
    end: Move | None = None


def play(
    court: Court | PaperCourt, known: KnownRound, liar: Tape, *, hidden: bool, silent: bool = False,
    theirs: IntegerRows | None = None,
) -> Game:  # fmt: skip
    """Dispute a sealed tape to its end. The sealer shows what it sealed; `theirs`: rows that it alone has; `silent`: it
    shows nothing, and gets rid of no question."""
    assert isinstance(known.rows, IntegerRows)
    target, held, game = court.register(liar, known.rows), Liar(liar, theirs or known.rows), Game()
    shown: dict[Question, Answer] = {}
    overdue: tuple[Question, ...] = ()
    while True:
        moves = next_moves(known, liar.root, published=None if hidden else liar, shown=shown, overdue=overdue)
        if not moves:
            return game
        game.end = moves[0]
        if isinstance(game.end, Ask):
            game.windows += 1
            for question in game.end.questions:
                game.questions += 1
                game.gas += court.ask(target, question)
                if silent and isinstance(court, Court):
                    _try_to_dismiss(court, target, known, question)
                    court.world.evm.now += ANSWER + 1
                    overdue = (question,)
                    break
                shown[question] = held.answer(question)
                game.gas += court.show(target, question, shown[question])
        elif isinstance(game.end, Lapse):
            assert isinstance(court, Court)
            court.contract.send(court.challenger, "lapse", target, game.end.question.encoded())
            assert court.fallen(target)
            return game
        elif isinstance(game.end, Refute):
            game.refute_gas = court.send(target, game.end.claim)
            game.gas += game.refute_gas
            assert court.fallen(target)
            return game
        else:
            return game


def _try_to_dismiss(court: Court, target: bytes, known: KnownRound, question: Question) -> None:
    words, path = known.program.columns[question.column].words(), instruction_path(known.program, question.column)
    try:
        court.dismiss(target, question, words, path)
    except Reverted:
        return
    raise AssertionError(f"a question about what was sealed is gone: {question}")


def drawn_round(dice: random.Random, columns: int = 55) -> tuple[KnownRound, Tape]:
    """Return a random round of a random program, and its honest tape."""
    program = Author(dice).program(columns)
    lengths, given = round_of(dice)
    return round_known(program, lengths, replace(given, brought=claimed_of(program, lengths, dice)))


def round_known(program: Program, lengths: Lengths, given: Given) -> tuple[KnownRound, Tape]:
    """Return what a challenger knows of a round, and its honest tape."""
    assert isinstance(given.rows, IntegerRows)
    return KnownRound(program, lengths, given, given.rows), evaluate(program, lengths, given)


def lie(known: KnownRound, honest: Tape, number: int, place: Place, value: int) -> Tape:
    """Return the tape of a sealer that says another cell, and computes all after it from that."""
    cells = honest.columns[number].astype(object)
    cells[place] = value
    brought = {n: honest.columns[n] for n in range(number)} | {number: cells}
    return evaluate(known.program, known.lengths, replace(known.given, brought={**known.given.brought, **brought}))


def lie_row(known: KnownRound, dice: random.Random, root: int, block: int | None = None) -> int:
    """Return the root of a row that differs from another in one integer, of `block` or anywhere, kept so that its
    sealer can open it."""
    rows = known.rows
    assert isinstance(rows, IntegerRows)
    integers = np.array(rows.rows[root])
    where = range(len(integers)) if block is None else range(*rows.place(block).indices(len(integers)))
    at, by = dice.choice(where), dice.choice((1, -1, 1000))
    integers[at] += by if abs(integers[at] + by) < 2**31 else -by
    return rows.add(integers, bits=SUM_BITS)


def some_lie(seed: int, *, among: frozenset[Op] | None = None) -> tuple[KnownRound, Tape, Tape, Op]:
    """Return a random round with one cell changed, that somebody decides: known, honest tape, liar's tape, the column's
    operation."""
    dice = random.Random(seed)
    while True:
        known, honest = drawn_round(dice)
        numbers = [
            n for n, column in enumerate(known.program.columns)
            if honest.columns[n].size and column.op is not Op.CLAIMED and (among is None or column.op in among)
            and not (column.kind is not Kind.NUMBER and column.op in (Op.SOURCE, Op.PREV, Op.SEL, Op.GATHER))
            and (column.op, column.immediate) != (Op.CONST, 0)  # which is no row as well
        ]  # fmt: skip
        if numbers:
            break
    number = dice.choice(numbers)
    column = known.program.columns[number]
    place = tuple(dice.randrange(length) for length in honest.columns[number].shape)
    cell = honest.cell(number, place)
    is_row = column.op in (Op.COMBINE, Op.STEP)
    value = lie_row(known, dice, cell) if is_row else wrap(cell + dice.choice((1, -1, 2**40, 2**254)))
    if column.op in HINTS:
        low, high = column.bounds
        wild = (2**255 - 1, -(2**255), 2**254)
        value = dice.choice([v for v in (low, high, low + 1, low - 3, high + 3, *wild) if v != cell])
    return known, honest, lie(known, honest, number, place, value), column.op


__all__ = [
    "Court", "GivenDiffers", "Liar", "Reverted", "drawn_round", "lie", "lie_row", "play", "round_known", "some_lie",
]  # fmt: skip
