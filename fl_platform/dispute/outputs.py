"""What a seal pays, and the model that it names, against its tape: a claim a seat, in a tree as long as there are
seats.

Seats 0 to 7 are the listed aggregators', in their order (the zero address' where the list is shorter), 8 the owner's,
who gets the dust; every trainer has the one that it took when it joined.

Tests: tests/contracts/test_referee_bound.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fl_platform.dispute.next_moves import Ask, Refute
from fl_platform.dispute.questions import FAN, NO_CELL, Answer, Node, Question, encoded_cell
from fl_platform.dispute.targets import Target
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.merkle_sum import Leaf
from fl_platform.protocol.openings import Opened, opened
from fl_platform.protocol.program import Output, Program
from fl_platform.protocol.rows import path_of
from fl_platform.protocol.seats import REFERENCE_SEAT
from fl_platform.protocol.tape import Tape

_NOBODY = bytes(20)
_SIBLING = 48  # bytes of a node: sum, hash


@dataclass(frozen=True)
class OutputClaim:
    """A claim, the total or the model is not what the tape says."""

    output: Output
    header: bytes
    path: tuple[bytes, ...]
    cell: Opened
    seat: int
    leaf: Leaf
    siblings: bytes
    function = "refuteOutput"

    def encoded(self) -> tuple[object, ...]:
        """Return the call's arguments behind the target."""
        leaf = (self.seat, self.leaf.owner, self.leaf.amount, self.leaf.data)
        cell = encoded_cell(self.cell)
        return ((int(self.output), self.header, list(self.path), cell, leaf, self.siblings),)


def accounts(aggregators: Sequence[bytes], owner: bytes, trainers: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the address of every seat; `trainers` in the order of joining."""
    listed = [*aggregators, *[_NOBODY] * (REFERENCE_SEAT - len(aggregators))]
    return (*listed, owner, *trainers)


def claims_of(tape: Tape, seats: Sequence[bytes]) -> tuple[Leaf, ...]:
    """Return what a tape pays, a leaf a seat."""
    earned, reputation = tape.output(Output.EARNED), tape.output(Output.REPUTATION)
    return tuple(
        Leaf(owner, int(earned[seat]), int(reputation[seat]).to_bytes(32, "big")) for seat, owner in enumerate(seats)
    )


def next_claims(
    target: Target, tape: Tape, seats: Sequence[bytes], *, published: Sequence[Leaf] | None,
    shown: Mapping[Question, Answer],
) -> Refute | Ask | None:  # fmt: skip
    """Return what to do about a seal's claims and model, where its tape is `tape` and true; None: they are as it says.

    published: the claims that the sealer shows; they count if their root is the sealed one.
    """
    record, right = target.record, claims_of(tape, seats)
    header, path = target.program.header(), program_path(target.program)
    nothing = OutputClaim(Output.TOTAL, header, path, NO_CELL, 0, Leaf(_NOBODY, 0, bytes(32)), b"")
    total = target.program.outputs[Output.TOTAL]
    if record.claim_count != len(seats) or record.claim_total != int(tape.output(Output.TOTAL)):
        return Refute(replace(nothing, cell=opened(tape, total, ())))
    model = target.program.outputs[Output.MODEL]
    if record.model != tape.cell(model, ()).to_bytes(32, "big", signed=True):
        return Refute(replace(nothing, output=Output.MODEL, cell=opened(tape, model, ())))
    honest = merkle_sum.build(right)
    if honest.digest == record.claim_root:
        return None
    if published is not None and _root(published) == (record.claim_root, record.claim_total, record.claim_count):
        seat = next(i for i, (told, one) in enumerate(zip(published, right, strict=True)) if told != one)
        found = published[seat], pack(merkle_sum.prove(tuple(published), seat).siblings)
    else:
        down = _descend(right, shown)
        if isinstance(down, Ask):
            return down
        seat, *found = down  # type: ignore[assignment]
    leaf, siblings = found
    output = Output.EARNED if leaf.amount != right[seat].amount else Output.REPUTATION
    cell = opened(tape, target.program.outputs[output], (seat,))
    return Refute(OutputClaim(output, header, path, cell, seat, leaf, siblings))


def _root(leaves: Sequence[Leaf]) -> tuple[bytes, int, int]:
    node = merkle_sum.build(tuple(leaves))
    return node.digest, node.total, len(leaves)


def _descend(right: Sequence[Leaf], shown: Mapping[Question, Answer]) -> Ask | tuple[int, Leaf, bytes]:
    """Go down to the first claim that differs; what the way there needs is asked for."""
    levels = merkle_sum.levels(tuple(right))
    question = Question(Node.CLAIMS, level=len(levels) - 1)
    while question.level:
        answer = shown.get(question)
        if answer is None:
            return Ask((question,))
        down = min(FAN, question.level)
        row = levels[question.level - down][question.index << down :][: 1 << down]
        told = [answer.claims[at : at + _SIBLING] for at in range(0, len(answer.claims), _SIBLING)]
        at = next(i for i, (one, node) in enumerate(zip(told, row, strict=True)) if one != pack([node]))
        question = replace(question, level=question.level - down, index=(question.index << down) + at)
    answer = shown.get(question)
    if answer is None:
        return Ask((question,))
    owner, amount, data = answer.claims[:20], answer.claims[20:36], answer.claims[36:]
    return question.index, Leaf(owner, int.from_bytes(amount, "big"), data), answer.above


def answer_claims(leaves: Sequence[Leaf], question: Question) -> Answer:
    """Return what shows a node of the tree over the claims."""
    levels = merkle_sum.levels(tuple(leaves))
    siblings = [row[(question.index >> up) ^ 1] for up, row in enumerate(levels[question.level : -1])]
    if question.level == 0:
        leaf = leaves[question.index]
        return Answer(claims=leaf.owner + leaf.amount.to_bytes(16, "big") + leaf.data, above=pack(siblings))
    down = min(FAN, question.level)
    below = levels[question.level - down][question.index << down :][: 1 << down]
    return Answer(claims=pack(below), above=pack(siblings))


def pack(nodes: Sequence[merkle_sum.Node]) -> bytes:
    """Return nodes, 48 bytes each: sum, hash."""
    return b"".join(node.total.to_bytes(16, "big") + node.digest for node in nodes)


def program_path(program: Program) -> tuple[bytes, ...]:
    """Return the path of a program's header to its root."""
    return path_of(program.levels, 0)
