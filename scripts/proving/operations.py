"""Every operation of Operations.sol held against its specification: the compiled bytes, for all operands.

The specification is fl_platform/protocol/operations.py. Where a proof gives up, operands are tried: where the bytes
give other than the specification, that is a counter-example.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fl_platform.protocol.arithmetic import apply
from fl_platform.protocol.operations import PLAIN, Op, operands_of
from scripts.proving import direct, dividing, muldividing, rooting
from scripts.proving.execution import Code, GaveUp, Path
from scripts.proving.terms import BITS, HALF, var

Progress = Callable[[str], None]
SECONDS = 60.0  # for one question to the solver; most take milliseconds
TRIES = 2_000
_EDGES = (0, 1, -1, 2, -2, 3, 255, 256, 257, -255, -256, 1 << 127, 1 << 128, 1 << 254, HALF - 1, -HALF, 1 - HALF)
_NAMES = ("x", "y", "z")


@dataclass(frozen=True)
class Verdict:
    """What became of an operation."""

    op: str
    proved: bool
    paths: int
    seconds: float  # CPU
    reason: str = ""  # why the proof gave up
    counter_example: tuple[int, ...] | None = None
    given: int | None = None  # what the bytes give of it; None: no word
    wanted: int | None = None

    def __str__(self) -> str:
        if self.proved:
            return "proved for all operands"
        if self.counter_example is None:
            return f"gave up: {self.reason}"
        return f"COUNTER-EXAMPLE {self.counter_example}: gives {self.given}, not {self.wanted}"


def _prove(op: Op, paths: list[Path], seconds: float, progress: Progress) -> None:
    if op is Op.DIV:
        dividing.prove(paths, seconds)
    elif op is Op.MULDIV:
        muldividing.prove(paths, seconds, progress)
    elif op is Op.ROOT:
        rooting.prove(paths, seconds, progress)
    elif op is Op.SHIFT:
        direct.prove_shift(paths, seconds)
    else:
        direct.prove(op, paths, seconds)


def _tries(op: Op) -> Iterator[tuple[int, ...]]:
    """Yield operands to try, always the same: edges, then numbers of every length."""
    count = operands_of(op)
    yield from itertools.islice(itertools.product(_EDGES, repeat=count), TRIES)
    draw = random.Random(int(op))
    for _ in range(TRIES):
        yield tuple(draw.choice((1, -1)) * draw.getrandbits(BITS - 1) >> draw.randrange(BITS - 1) for _ in range(count))


def verdict_on(code: Code, op: Op, seconds: float = SECONDS, progress: Progress = lambda _: None) -> Verdict:
    """Prove an operation, or say why not."""
    start, paths = time.process_time(), list[Path]()
    try:
        paths = code.paths(op, *(var(name) for name in _NAMES))
        _prove(op, paths, seconds, progress)
    except GaveUp as stopped:
        progress("looking for a counter-example")
        for operands in _tries(op):
            given, wanted = code.gives(op, *operands), apply(op, *operands)
            if given != wanted:
                spent = time.process_time() - start
                return Verdict(op.name, False, len(paths), spent, str(stopped), operands, given, wanted)
        return Verdict(op.name, False, len(paths), time.process_time() - start, str(stopped))
    return Verdict(op.name, True, len(paths), time.process_time() - start)


def verdict_on_others(code: Code) -> Verdict:
    """Prove that every number that is no operation is refused, whatever the operands."""
    start = time.process_time()
    for number in sorted(set(range(256)) - PLAIN):
        paths = code.paths(number, *(var(name) for name in _NAMES))
        if not all(path.reverted for path in paths):
            spent = time.process_time() - start
            return Verdict("others", False, len(paths), spent, f"{number} gives something", (number,), 0)
    return Verdict("others", True, 256 - len(PLAIN), time.process_time() - start)
