"""From a round's bundle to its trace: what the aggregator seals, and what a watcher opens to contradict it.

A pure function of the rules, the bundle and the round's pot, so anybody who reads the bundle has every leaf. Values
that the bundle claims are taken from it as they stand; those between them are computed from the claimed Gram matrix. A
seal whose trace root is another one hides its leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fl_platform.aggregation import rules
from fl_platform.aggregation.admit import ADMITTED, is_reference
from fl_platform.aggregation.gram import Gram, from_triangle
from fl_platform.aggregation.projection import determinant, independent
from fl_platform.aggregation.weights import capped_stakes, norm_down, weighted_median
from fl_platform.contribution.anchored import Anchor, Scored, qualities
from fl_platform.contribution.judge import OFF_ROSTER, address_text
from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.bundle import RoundBundle, Standing
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.payout import entitlements_down
from fl_platform.protocol.spec import BASIS, ScaleSpec, TaskSpec
from fl_platform.protocol.trace import (
    Code,
    EntryLeaf,
    RoundLeaf,
    RulesLeaf,
    StandingLeaf,
    Trace,
    WorkLeaf,
    WorthKind,
    layout_bytes,
)
from fl_platform.updates import norm_bound_squared

COSINE_BITS = 32
DIRECTIONS = 4
_CODES = {
    ADMITTED: Code.ADMITTED,
    rules.NO_WORK: Code.NO_WORK,
    rules.TOO_LONG: Code.TOO_LONG,
    rules.NOT_SELECTED: Code.NOT_SELECTED,
    rules.REPLAY: Code.REPLAY,
    rules.OFF_REFERENCE: Code.OFF_REFERENCE,
}
_KINDS = {"anchored": WorthKind.ANCHORED, "leave-one-out": WorthKind.LEAVE_ONE_OUT, "equal": WorthKind.EQUAL}
_PASSED = (Code.ADMITTED, Code.NOT_SELECTED)


def rules_leaf(spec: TaskSpec) -> RulesLeaf:
    """Return the rules as numbers."""
    rule, worth = spec.aggregation, spec.worth
    return RulesLeaf(
        stake_cap_bps=worth.stake_cap_bps,
        clip_bps=rule.clip_bps,
        reject_bps=rule.reject_bps,
        floor_bps=rule.floor_bps,
        duplicate_bps=rule.duplicate_bps,
        byzantine=rule.byzantine,
        multi_krum=int(rule.name == "multi-krum"),
        fee_bps=spec.money.fee_bps,
        base_bps=worth.base_bps,
        alpha_num=worth.alpha_num,
        alpha_den=worth.alpha_den,
        worth=_KINDS[worth.kind],
        size=spec.model.size,
        bits=spec.codec.bits,
    )


def work_leaf(spec: TaskSpec, bundle: RoundBundle) -> WorkLeaf:
    """Return what the Gram rows and the sums are, by their content roots. Raises DocumentInvalid: rows nobody has."""
    entries = {address_text(e.receipt.trainer): i for i, e in reversed(list(enumerate(bundle.entries)))}
    reference = [i for i, e in enumerate(bundle.entries) if is_reference(e, spec)]
    roots = {f"direction:{k + 1}": root for k, root in enumerate(bundle.direction_roots)}
    rows = []
    for name in bundle.rows:
        index = reference[0] if name == "reference" and reference else entries.get(name)
        if index is None and name not in roots:
            raise DocumentInvalid(f"trace: no entry and no direction is called {name!r}; this round has no trace")
        root = roots[name] if index is None else bundle.entries[index].receipt.content_root
        rows.append((int.from_bytes(root, "big"), 0 if index is None else bundle.verdicts[index].weight))
    layout, after = (layout_of(spec, state.scale) for state in (bundle.before, bundle.after))
    return WorkLeaf(
        sums=int.from_bytes(bundle.sums_root, "big"),
        layout=int.from_bytes(keccak256(layout), "big"),
        layout_after=int.from_bytes(keccak256(after), "big"),
        rows=tuple(rows),
    )


def layout_of(spec: TaskSpec, scale: ScaleSpec) -> bytes:
    """Return the tensors' sizes with a scale's offsets, as a contract reads them."""
    return layout_bytes([tensor.size for tensor in spec.model.tensors], scale.offsets)


def trace_of(spec: TaskSpec, bundle: RoundBundle, *, pot: int) -> Trace:
    """Return the trace of a bundle (unverified). `pot`: wei that the round had to allot.

    Raises DocumentInvalid when the bundle has no trace: rows that no entry has, numbers over 256 bits.
    """
    screen = _screen(spec, bundle)
    entries = _entries(spec, bundle, screen)
    money = _money(spec, bundle, entries, pot=pot)
    gram = screen.gram
    trace = Trace(
        rules=rules_leaf(spec),
        round=_round(spec, bundle, screen, entries, money),
        entries=entries,
        gram=gram.values,
        standings=money.standings,
        work=work_leaf(spec, bundle),
    )
    _ = trace.root  # demands that every number fits
    return trace


@dataclass(frozen=True)
class _Screen:
    """Values between the Gram matrix and the verdicts, by entry number."""

    gram: Gram
    rows: Mapping[int, int]  # entry -> Gram row, trainers only
    codes: Mapping[int, Code]
    reference: int | None  # Gram row, None where there is none
    rounding: int
    longest: int
    first_caps: Mapping[int, int]
    norms: Mapping[int, int]
    median: int
    cosines: Mapping[int, int]
    cosine_median: int
    byzantine: int
    krum: Mapping[int, int]
    capped: Mapping[int, int]
    directions: tuple[int, ...]  # independent Gram rows
    qualities: Mapping[int, int]


def _screen(spec: TaskSpec, bundle: RoundBundle) -> _Screen:
    gram = from_triangle(bundle.rows, bundle.gram)
    reference = 0 if bundle.rows[:1] == ("reference",) else None
    rows = _rows_by_entry(spec, bundle)
    # its party may have forced a second receipt in: the first one has the row
    first_row = next((i for i, e in enumerate(bundle.entries) if reference == 0 and is_reference(e, spec)), None)
    codes = {i: _code(spec, bundle, i, has_row=i in rows or i == first_row) for i in range(len(bundle.entries))}
    rounding = rules.rounding_energy(spec.model, bundle.before.scale, spec.codec.rounding)
    energies = {i: rules.clean_energy(gram.at(r, r), rounding) for i, r in rows.items()}
    norms = {i: norm_down(energy) for i, energy in energies.items()}
    first = _caps(spec, bundle, list(rows))
    median = weighted_median(list(norms.values()), list(first.values()))
    cosines = _cosines(gram, rows, codes, norms, reference)
    kept = [i for i in rows if codes[i] in _PASSED]
    capped = _caps(spec, bundle, kept)
    directions = independent(range(len(rows) + (0 if reference is None else 1), len(bundle.rows)), gram)
    byzantine, krum = _krum(spec, bundle, gram, rows, codes, kept)
    live = [i for i in kept if capped[i]]
    anchored: Mapping[int, int] = {}
    if bundle.measured and spec.worth.kind == "anchored":
        scored = [Scored(rows[i], capped[i], energies[i], rows[i]) for i in live]
        anchor = Anchor(0, directions, spec.worth.alpha_num, spec.worth.alpha_den, median, spec.model.size)
        anchored = dict(zip(live, qualities(scored, gram, anchor), strict=True))
    return _Screen(
        gram=gram, rows=rows, codes=codes, reference=reference, rounding=rounding,
        longest=norm_bound_squared(bundle.before.scale, spec.model, spec.codec.bits), first_caps=first,
        norms=norms, median=median, cosines=cosines,
        cosine_median=max(0, weighted_median(list(cosines.values()), [first[i] for i in cosines])),
        byzantine=byzantine, krum=krum, capped=capped, directions=directions, qualities=anchored,
    )  # fmt: skip


def _rows_by_entry(spec: TaskSpec, bundle: RoundBundle) -> dict[int, int]:
    """Entry number -> Gram row of the trainers, in the order of rows."""
    number = {name: row for row, name in enumerate(bundle.rows)}
    found: dict[int, int] = {}
    for i, entry in enumerate(bundle.entries):
        row = number.get(address_text(entry.receipt.trainer))
        if row is not None and not is_reference(entry, spec) and row not in found.values():
            found[i] = row
    return found


def _code(spec: TaskSpec, bundle: RoundBundle, index: int, *, has_row: bool) -> Code:
    code = bundle.verdicts[index].code
    if not has_row:
        return Code.OFF_ROSTER if code in OFF_ROSTER else Code.REFUSED
    if is_reference(bundle.entries[index], spec):
        return Code.REFERENCE
    return _CODES.get(code, Code.REFUSED)


def _caps(spec: TaskSpec, bundle: RoundBundle, entries: Sequence[int]) -> dict[int, int]:
    stakes = [bundle.entries[i].stake for i in entries]
    return dict(zip(entries, capped_stakes(stakes, cap_bps=spec.worth.stake_cap_bps), strict=True))


def _cosines(
    gram: Gram, rows: Mapping[int, int], codes: Mapping[int, Code], norms: Mapping[int, int], reference: int | None
) -> dict[int, int]:
    if reference is None or not gram.at(0, 0):
        return {}
    before = (Code.NO_WORK, Code.TOO_LONG, Code.REPLAY)
    return {
        i: (gram.at(row, 0) << COSINE_BITS) // norms[i]
        for i, row in rows.items()
        if codes[i] not in before and norms[i]
    }


def _krum(
    spec: TaskSpec,
    bundle: RoundBundle,
    gram: Gram,
    rows: Mapping[int, int],
    codes: Mapping[int, Code],
    kept: Sequence[int],
) -> tuple[int, dict[int, int]]:
    # a reference that does not open is nobody's hostile update
    refused = sum(code is Code.REFUSED and not is_reference(bundle.entries[i], spec) for i, code in codes.items())
    byzantine = rules.remaining_byzantine(spec.aggregation, left=len(kept), dropped=refused + len(rows) - len(kept))
    if not byzantine:
        return 0, {}
    scores = rules.krum_scores([rows[i] for i in kept], gram, byzantine=byzantine)
    return byzantine, dict(zip(kept, scores, strict=True))


def _entries(spec: TaskSpec, bundle: RoundBundle, screen: _Screen) -> tuple[EntryLeaf, ...]:
    rostered = [
        i for i, code in screen.codes.items()
        if code is not Code.OFF_ROSTER and not is_reference(bundle.entries[i], spec)
    ]  # fmt: skip
    by_stake = _caps(spec, bundle, rostered)
    selected = [i for i, code in screen.codes.items() if code is Code.ADMITTED]
    total = sum(screen.capped[i] for i in selected)
    return tuple(_entry(bundle, screen, i, by_stake.get(i, 0), total) for i in range(len(bundle.entries)))


def _entry(bundle: RoundBundle, screen: _Screen, index: int, roster_cap: int, total: int) -> EntryLeaf:
    entry, verdict, code = bundle.entries[index], bundle.verdicts[index], screen.codes[index]
    capped = screen.capped.get(index, 0)
    group = [i for i in screen.capped if bundle.verdicts[i].group == verdict.group and screen.capped[i]]
    live = capped > 0
    row = screen.rows.get(index, 0 if code is Code.REFERENCE else -1)
    return EntryLeaf(
        trainer=int.from_bytes(entry.receipt.trainer, "big"),
        stake=entry.stake,
        receipt=int.from_bytes(entry.receipt.struct_hash(), "big"),
        forced=int(entry.forced),
        code=code,
        row=row + 1,
        first_cap=screen.first_caps.get(index, 0),
        squared=0 if index not in screen.rows else screen.gram.at(row, row),
        norm=screen.norms.get(index, 0),
        cosine=screen.cosines.get(index, 0),
        krum=screen.krum.get(index, 0),
        capped=capped,
        full=(capped << 16) // total if code is Code.ADMITTED and total else 0,
        weight=verdict.weight,
        quality=screen.qualities.get(index, 0),
        group=verdict.group + 1,
        group_stake=sum(screen.capped[i] for i in group) if live else 0,
        group_quality=sum(screen.qualities.get(i, 0) * screen.capped[i] for i in group) if live else 0,
        group_largest=max(screen.capped[i] for i in group) if live else 0,
        score=verdict.score,
        roster_cap=roster_cap,
    )


@dataclass(frozen=True)
class _Money:
    """Totals of the split, and the accounts."""

    pot: int
    fee: int
    base_pot: int
    positive: int
    due: int
    lacking: int
    scored_pot: int
    by_admitted: bool
    shares: int
    standings: tuple[StandingLeaf, ...]


def _money(
    spec: TaskSpec, bundle: RoundBundle, entries: Sequence[EntryLeaf], *, pot: int
) -> _Money:  # fmt: skip
    fee = pot * spec.money.fee_bps // BASIS
    rest = pot - fee
    base_pot = rest * (spec.worth.base_bps if bundle.measured else BASIS) // BASIS
    standings = bundle.after.standings
    place = {e.trainer: i for i, e in reversed(list(enumerate(entries))) if e.code != Code.OFF_ROSTER and e.stake}
    before = {s.trainer: i for i, s in enumerate(bundle.before.standings)}
    pots = bundle.before.scored_pots + rest - base_pot
    entitled = entitlements_down(pots, [s.score_sum for s in standings])
    leaves = []
    for standing, amount in zip(standings, entitled, strict=True):
        entry = place.get(int.from_bytes(standing.trainer, "big"))
        due = amount if entry is not None and entries[entry].code in _PASSED else 0
        previous = before.get(standing.trainer)
        old = Standing(standing.trainer, 0, 0, 0, 0) if previous is None else bundle.before.standings[previous]
        leaves.append(_standing(standing, old, entry, previous, due))
    admitted = sum(e.roster_cap for e in entries if e.code == Code.ADMITTED)
    return _Money(
        pot=pot, fee=fee, base_pot=base_pot,
        positive=sum(max(0, s.score_sum) for s in standings),
        due=sum(leaf.due for leaf in leaves), lacking=sum(leaf.lacking for leaf in leaves),
        scored_pot=bundle.after.scored_pots - bundle.before.scored_pots,
        by_admitted=admitted > 0, shares=admitted or sum(e.roster_cap for e in entries), standings=tuple(leaves),
    )  # fmt: skip


def _standing(new: Standing, old: Standing, entry: int | None, previous: int | None, due: int) -> StandingLeaf:
    return StandingLeaf(
        trainer=int.from_bytes(new.trainer, "big"),
        entry=0 if entry is None else entry + 1,
        previous=0 if previous is None else previous + 1,
        score_before=old.score_sum,
        scored_before=old.paid_scored,
        base_before=old.paid_base,
        reputation_before=old.reputation,
        due=due,
        lacking=max(0, due - old.paid_scored),
        score_after=new.score_sum,
        scored_after=new.paid_scored,
        base_after=new.paid_base,
        reputation_after=new.reputation,
    )


def _round(
    spec: TaskSpec, bundle: RoundBundle, screen: _Screen, entries: Sequence[EntryLeaf], money: _Money
) -> RoundLeaf:
    solution, det = _solution(screen)
    if len(solution) > DIRECTIONS:
        raise DocumentInvalid(f"trace: {len(solution)} public directions, at most {DIRECTIONS}")
    numbers = [*(row + 1 for row in screen.directions), *[0] * DIRECTIONS][:DIRECTIONS]
    z = [*solution, *[0] * DIRECTIONS][:DIRECTIONS]
    stakes = {i: bundle.entries[i].stake for i in screen.rows}
    return RoundLeaf(
        measured=int(bundle.measured),
        reference=0 if screen.reference is None else 1,
        candidates=len(screen.rows),
        rounding=screen.rounding,
        longest=screen.longest,
        candidate_stake=sum(stakes.values()),
        capped_total=sum(screen.first_caps.values()),
        median=screen.median,
        kept_stake=sum(stakes[i] for i in screen.capped),
        live_total=sum(screen.capped.values()),
        selected_total=sum(e.capped for e in entries if e.code == Code.ADMITTED),
        byzantine=screen.byzantine,
        cosine_median=screen.cosine_median,
        divisor=bundle.divisor,
        roster_stake=sum(e.stake for e in entries if e.code != Code.OFF_ROSTER),
        pot=money.pot,
        fee=money.fee,
        base_pot=money.base_pot,
        pots_before=bundle.before.scored_pots,
        positive_scores=money.positive,
        due_total=money.due,
        lacking_total=money.lacking,
        scored_pot=money.scored_pot,
        base_pool=money.pot - money.fee - money.scored_pot,
        by_admitted=int(money.by_admitted),
        share_total=money.shares,
        pots_after=bundle.after.scored_pots,
        determinant=det,
        solution_0=z[0], solution_1=z[1], solution_2=z[2], solution_3=z[3],
        direction_0=numbers[0], direction_1=numbers[1], direction_2=numbers[2], direction_3=numbers[3],
        reference_length=norm_down(screen.gram.at(0, 0)) if screen.reference == 0 else 0,
    )  # fmt: skip


def _solution(screen: _Screen) -> tuple[tuple[int, ...], int]:
    """adj(G_PP) g_Pr by Cramer's rule, and det(G_PP); zeros where there is no reference."""
    rows, gram = screen.directions, screen.gram
    if not rows:
        return (), 1
    matrix = [[gram.at(a, b) for b in rows] for a in rows]
    if screen.reference is None:
        return tuple(0 for _ in rows), determinant(matrix)
    towards = [gram.at(a, 0) for a in rows]
    replaced = [
        [[towards[i] if j == k else value for j, value in enumerate(line)] for i, line in enumerate(matrix)]
        for k in range(len(rows))
    ]
    return tuple(determinant(m) for m in replaced), determinant(matrix)
