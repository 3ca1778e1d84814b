"""Random honest rounds on the deployed contracts, and every reader of each: the sealer loses nothing by any claim.

A sealer rosters, takes what is forced in, judges and seals by the platform's own code. Then a challenger looks for
something to do about tape and claims, a stranger recomputes the round without a key, and claims about drawn sources,
outputs and cells are sent to the referee. Nothing may be found, nothing may differ, and every claim must revert with
NotRefuted. `make fuzz` runs thousands; tests/invariants runs 200.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fl_platform.dispute.disputed_round import source_column
from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.next_moves import next_moves
from fl_platform.dispute.round_leaves import PublicLeaves
from fl_platform.errors import NotEnoughTrainers, StoreMissing, UpdateLengthMismatch
from fl_platform.judging.judge import past_sums
from fl_platform.judging.round_rows import cell_of
from fl_platform.judging.tapes import given_of, only_a_key_shows
from fl_platform.judging.validation import RevealedRow, ValidationRow, commit_rows, reveal_slice
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec, TensorSpec
from fl_platform.protocol.sources import Source
from fl_platform.protocol.spec import TaskSpec
from fl_platform.updates.model_row import row_root
from fl_platform.updates.tensors import Integers, Tensors
from tests.support.judged_rounds import JudgedRound, JudgedTask
from tests.support.rounds import Round, address_of, anchored_spec

VALIDATION = tuple(ValidationRow(keccak256(bytes([i])), bytes([i])) for i in range(12))
SLICES = 4
MOST_ROUNDS = 6  # from round 4 on there are as many earlier sums as there can be
LATECOMER = 80  # joins after a roster, and forces in later rounds
CALM = ("ok",) * 6 + ("flip", "copy", "replay")
WILD = ("ok",) * 6 + ("flip", "zero", "short", "long", "noise", "tiny", "copy", "copy", "replay")


@dataclass
class Found:
    """What a run of rounds brought."""

    rounds: int = 0
    claims: int = 0
    faults: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)  # how often each kind of round or verdict came up


@dataclass
class Draw:
    """One task: its rules, its people, and where honest work leads."""

    r: random.Random
    spec: TaskSpec
    trainers: int  # on each roster: keys 1, 2, ...
    stakes: dict[int, int]  # of all that join, by key number, wei; the last one is on no roster
    way: np.ndarray  # (d,)
    calm: bool  # most do their work: later stages of the rule have something to decide
    late: bool = False  # somebody joins between this round's roster and its seal

    @classmethod
    def of(cls, seed: int) -> Draw:
        """Draw a task."""
        r = random.Random(seed)
        spec, calm = draw_spec(r), r.random() < 0.5
        n = r.randint(5, 8) if calm else r.randint(1, 8)
        unit = r.choice((1, 10**18, 10**18, 10**18))  # in wei, a cap can be under one
        stakes = {k: r.choice((unit, unit, r.randint(1, 10 * unit))) for k in range(1, n + 2)}
        if r.random() < 0.3:
            stakes = {0: unit, **stakes}
        return cls(r, spec, n, stakes, np.random.default_rng(seed).normal(0, 1, spec.model.size), calm)


def draw_spec(r: random.Random) -> TaskSpec:
    """Draw rules: width, shapes, offsets, screens, selection, worth."""
    base = anchored_spec()
    shapes = (TensorSpec("w", (r.choice((3, 16, 40)), r.choice((4, 16)))), TensorSpec("b", (r.choice((1, 3, 20)),)))
    bits = r.choice((4, 8, 8, 16))
    scale = ScaleSpec((r.choice((5, 7, 7, 8)), r.choice((7, 9))))
    codec = replace(base.codec, bits=bits, rounding=r.choice(("stochastic", "nearest")), initial_scale=scale)
    krum = r.random() < 0.5
    screens = ("length", "replay", "direction")
    rule = replace(
        base.aggregation, selection="multi-krum" if krum else "mean",
        byzantine=r.choice((0, 1, 1, 2) if krum else (0, 1)), clip_bps=r.choice((8_000, 15_000, 20_000)),
        reject_bps=r.choice((20_000, 40_000, 1_000_000)), floor_bps=r.choice((0, 100, 1_000)),
        duplicate_bps=r.choice((9_000, 9_900)), directions=r.choice((0, 1, 2, 4, 4)),
        reference_bps=r.choice((0, 3_000, 10_000)),
    )  # fmt: skip
    if r.random() < 0.2:
        rule = replace(rule, screens=tuple(name for name in screens if r.random() < 0.6))
    if rule.directions == 0:
        rule = replace(rule, screens=tuple(name for name in rule.screens if name != "replay"))
    kind = r.choice(("anchored", "anchored", "anchored", "equal", "leave-one-out"))
    worth = replace(
        base.worth, kind=kind, alpha_num=r.choice((0, 1, 1)), alpha_den=r.choice((1, 2)),
        base_bps=r.choice((0, 2_000, 10_000)), stake_cap_bps=r.choice((500, 2_000, 10_000)),
        shares=r.random() < 0.8, memory=r.choice((1, 8)),
    )  # fmt: skip
    if kind == "leave-one-out":
        worth = replace(worth, validation_root=commit_rows(VALIDATION), validation_slices=SLICES)
    return replace(base, model=ModelSpec("m", shapes), codec=codec, aggregation=rule, worth=worth)


def draw_update(draw: Draw, kind: str, earlier: Sequence[Integers] = (), sums: np.ndarray | None = None) -> Integers:
    """Draw an update of a kind; shape (d,)."""
    r, spec = draw.r, draw.spec
    d, top = spec.model.size, 2 ** (spec.codec.bits - 1) - 1
    g = np.random.default_rng(r.getrandbits(32))
    scales = {4: (0.44, 1.5), 8: (0.3, 4.0, 30.0), 16: (1.0, 100.0)}[spec.codec.bits]
    scale = scales[1] if draw.calm else r.choice(scales)
    x: np.ndarray = scale * (0.7 * draw.way + 0.7 * g.normal(0, 1, d))
    if kind == "flip":
        x = -x
    elif kind == "zero":
        x = x * 0
    elif kind == "short":
        x = x * r.choice((0.05, 0.2, 0.5))
    elif kind == "long":
        x = x * r.choice((2, 5, 40))
    elif kind == "noise":
        x = scale * g.normal(0, 1, d)
    elif kind == "tiny":  # near what rounding explains
        x = np.where(g.random(d) < r.choice((0.05, 0.14, 0.16)), np.sign(draw.way), 0)
    elif kind == "copy" and earlier:
        x = earlier[r.randrange(len(earlier))] * r.choice((1, 1, 0.8)) + (g.random(d) < 0.03)
    elif kind == "replay" and sums is not None:
        x = sums * (np.linalg.norm(x) / max(1e-9, float(np.linalg.norm(sums))))
    return np.clip(np.rint(x), -top, top).astype(np.int16 if spec.codec.bits == 16 else np.int8)


def draw_round(draw: Draw, task: JudgedTask) -> Round:
    """Draw a round: updates, who does not open, what is forced in, what an earlier member wrote down wrong."""
    r, spec = draw.r, task.spec
    sums = task.rounds[-1].judged.sums.astype(float) if task.rounds else None
    ups: list[Integers] = []
    for _ in range(draw.trainers):
        ups.append(draw_update(draw, r.choice(CALM if draw.calm else WILD), ups, sums))
    wanted = spec.worth.kind == "anchored" and r.random() > 0.12
    reference = draw_update(draw, r.choice(("ok",) * 8 + ("zero", "flip", "tiny"))) if wanted else None
    made = task.draw(ups, reference=reference)
    if spec.worth.kind == "leave-one-out" and r.random() < 0.8:
        shown = reveal_slice(VALIDATION, slices=SLICES, number=made.before.round) if made.before.round < SLICES else ()
        made.extra = {"validation": shown, "utility": utility}
    _spoil(draw, made)
    forcing = r.sample((*draw.stakes, LATECOMER), r.choice((0, 0, 0, 1, 2)))
    draw.late = LATECOMER in forcing and LATECOMER not in task.joined
    for number in forcing:
        update = draw_update(draw, r.choice(("ok", "short", "flip")))
        if number != LATECOMER or not draw.late:
            task.force(made, number, update, salt=b"\1" * 32)
    return made


def utility(model: Tensors, rows: Sequence[RevealedRow]) -> int:
    """How many rows a model gets right: here, whether one of its numbers is positive."""
    weights = model["w"].reshape(-1)
    return sum(int(weights[row.row.data[0] % weights.size] > 0) for row in rows)


def _spoil(draw: Draw, made: Round) -> None:
    """Let updates not open, keys be missing, parents be others, stakes be written down wrong: the reference's, too."""
    r = draw.r
    share = r.choice((0, 0, 0, 0.1, 0.2) if draw.calm else (0, 0, 0, 0.2, 1.0))
    number_of = {address_of(number): number for number in range(draw.trainers + 1)}
    for i, entry in enumerate(list(made.entries)):
        if r.random() < share:
            made.data[i] = r.choice((UpdateLengthMismatch("short"), StoreMissing("gone")))
        chance = r.random()
        if chance < 0.04:
            made.entries[i] = replace(entry, keys=(), keys_signature=b"")
            if r.random() < 0.5 and not entry.forced:  # what has not a box for everybody reveals nothing
                made.forced_out[i] = r.choice(((), entry.keys[1:], entry.keys[::-1]))
        elif chance < 0.08:
            made.sign(i, number_of[entry.receipt.trainer], parent=b"\x09" * 32)
        elif chance < 0.1:
            made.sign(i, number_of[entry.receipt.trainer], length=entry.receipt.length + 1)
        elif chance < 0.12 and entry.stake:
            made.entries[i] = replace(entry, stake=entry.stake + 5)
        elif chance > 0.97:
            made.forced_out[i] = entry.keys


# --- playing ----------------------------------------------------------------------------------------------------------


def play(seed: int, found: Found, *, most: int = MOST_ROUNDS, claims: int | None = 3) -> None:
    """Play one random task of at most so many rounds and note what any reader says against it.

    claims: how many are drawn a round; None: some about each source, carried column and output, and of cells.
    """
    draw = Draw.of(seed)
    task = JudgedTask.open(draw.spec, trainers=draw.stakes, rounds=MOST_ROUNDS)
    for number in range(min(most, draw.r.choice((1, 2, 3, MOST_ROUNDS)))):
        if number and draw.r.random() < 0.3:
            draw.way = np.random.default_rng(seed + number).normal(0, 1, draw.spec.model.size)
        made = draw_round(draw, task)

        def joins() -> None:
            if draw.late:
                task.join(LATECOMER)

        try:
            one = task.seal(made, rostered=joins)
        except NotEnoughTrainers:
            found.seen["not sealed: too few, or nobody to pay"] += 1
            return
        found.rounds += 1
        _note(found.seen, one)
        said = list(_against(task, one, draw.r, found, claims))
        found.faults += [f"seed {seed} round {number}: {fault}" for fault in said]
        if said:
            return


def _against(
    task: JudgedTask, one: JudgedRound, r: random.Random, found: Found, claims: int | None
) -> Iterator[str]:  # fmt: skip
    """Yield what any reader holds against an honest seal."""
    for move in next_moves(known_of(task, one), one.target.record.trace, published=one.sealed, shown={}):
        yield f"a challenger would send {move}"
    yield from task.differences(one)
    if claims is None:
        fallen = next(task.against(one), None)
        if fallen is not None:
            yield f"falls by {fallen}"
            return
    for what, claim in task.drawn_claims(one, r, claims or 0):
        found.claims += 1
        if task.refutes(one, claim):
            yield f"falls by {what}"
            return
    if task.bond() == 0:
        yield "its sealer lost its bond"


def known_of(task: JudgedTask, one: JudgedRound) -> KnownRound:
    """Return what a challenger without keys knows of a round."""
    spec, context, before = task.spec, one.made.context, one.made.before
    column = source_column(one.target, Source.REFUSED)
    refused = [0] * len(one.made.entries) if column is None else list(map(int, one.sealed.columns[column]))
    taken = {number: one.sealed.columns[number] for number in only_a_key_shows(one.target.program)}
    past = past_sums(spec, before, one.made.sums.__getitem__)
    public = (one.made.models[before.model], one.judged.sums, one.judged.row)
    sealed = {cell_of(row_root(row, spec.model)): row for row in public}
    rows = PublicLeaves(spec, one.target.terms.shape, past, sealed)
    given = given_of(spec, context, before, one.made.entries, refused, stepper=rows, brought=taken)
    return KnownRound(one.target.program, one.target.lengths, given, rows)


def _note(seen: Counter[str], one: JudgedRound) -> None:
    """Count which ways through the rule this round took."""
    spec, judged = one.made.spec, one.judged
    seen.update(f"verdict {verdict.code}" for verdict in judged.verdicts)
    seen[f"{spec.codec.bits} bits"] += 1
    seen[f"{spec.aggregation.selection}, {spec.worth.kind}, {'' if judged.measured else 'not '}measured"] += 1
    seen[f"{min(one.made.before.round, spec.aggregation.directions)} earlier sums"] += 1
    seen["forced entries"] += sum(entry.forced for entry in one.made.entries)
    seen["nobody passed"] += not any(judged.tape.named("passed"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Play honest rounds (`make fuzz ROUNDS=2000 SEED=1`) and print what was found; 1 where a seal could fall."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.honest_rounds", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--claims", type=int, default=3, help="on chain, a round; each must revert with NotRefuted")
    asked = parser.parse_args(arguments)
    found, seed, started = Found(), asked.seed, time.process_time()
    while found.rounds < asked.rounds and not found.faults:
        try:
            play(seed, found, most=asked.rounds - found.rounds, claims=asked.claims)
        except Exception:
            print(f"seed {seed} ended in an error; again: make fuzz ROUNDS=1 SEED={seed}", flush=True)
            raise
        seed += 1
        if (seed - asked.seed) % 25 == 0:
            print(f"{found.rounds} rounds, {len(found.faults)} faults", flush=True)
    for way, times in sorted(found.seen.items()):
        print(f"{times:7} {way}")
    for fault in found.faults:
        print(fault)
    seconds = time.process_time() - started
    print(
        f"{found.rounds} honest rounds, {found.claims} claims on chain, {len(found.faults)} refuted or differ"
        f" ({seconds:.0f} CPU-s)"
    )
    if found.faults:
        print(f"again: make fuzz ROUNDS={MOST_ROUNDS} SEED={seed - 1}")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
