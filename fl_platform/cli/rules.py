"""A task as it is shown: its frozen rules, and where it stands.

Tests: tests/e2e/test_cli_task.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fl_platform.cli.common import hexed, tokens

if TYPE_CHECKING:
    from rich.console import Console

    from fl_platform.ledger.history import TaskHistory
    from fl_platform.protocol.spec import TaskSpec, TrainingRule


def show_rules(out: Console, number: int, spec: TaskSpec) -> None:
    """Print a task's frozen rules."""
    from fl_platform.cli.show import pairs

    money, rule, worth, windows = spec.money, spec.aggregation, spec.worth, spec.windows
    robust = f"{rule.selection} of what passes {', '.join(rule.screens) or 'no screen'}"
    robust += f", withstands {rule.byzantine} hostile" if rule.selection == "multi-krum" else ""
    alpha = f", alpha {worth.alpha_num}/{worth.alpha_den}" if worth.kind == "anchored" else ""
    pairs(out, f"task {number}: {spec.title}", [
        ("rules", hexed(spec.digest)),
        ("owner", hexed(spec.owner)),
        ("model", f"{spec.model.name}, {spec.model.size:,} parameters"),
        ("training", _training(spec.training)),
        ("codec", f"int{spec.codec.bits}, {spec.codec.rounding} rounding"),
        ("sum", robust),
        ("worth", f"{worth.kind}{alpha}, {worth.base_bps / 100:g} % by stake"),
        ("reveal", spec.strictness),
        ("commitments", f"{spec.commitments}: anybody can check the sums" if spec.commitments != "none" else "none"),
        ("money", f"{money.rounds} rounds of {tokens(money.pot)} = {tokens(money.pot * money.rounds)} tokens, "
                  f"fee {money.fee_bps / 100:g} %"),
        ("locked by", f"trainers {tokens(money.stake)}, aggregators {tokens(money.bond)} tokens"),
        ("windows", f"roster {windows.min_round}-{windows.roster} s, force {windows.force} s, "
                    f"reveal {windows.reveal} s, seal {windows.seal} s, "
                    f"challenge {windows.challenge} s, unbonding {windows.unbonding} s"),
        ("aggregators", "\n".join(hexed(party.address) for party in spec.aggregators)),
        ("auditors", "\n".join(hexed(party.address) for party in spec.auditors) or "none named"),
        ("witnesses", _witnesses(spec)),
        *_own_program(spec),
    ])  # fmt: skip


def _witnesses(spec: TaskSpec) -> str:
    if not spec.witnesses:
        return "none: what is not to be had cannot be left out"
    names = "\n".join(map(hexed, spec.witnesses))
    return f"{names}\n{spec.complaints_needed} of {len(spec.witnesses)} must say that an update is not to be had"


def _own_program(spec: TaskSpec) -> list[tuple[str, str]]:
    """Say what a task's own round program reads, and what it pays equal honest trainers."""
    from fl_platform.judging.program import is_own

    if not is_own(spec):
        return []
    from fl_platform.task.accepting import EQUALS, described  # plays a round: other tasks load no judge

    found = described(spec)
    reads = [f"{what} by {', '.join(columns) or 'no column'}" for what, columns in found.reads.items()]
    least, most = found.bounds
    paid = sorted({tokens(wei) for wei in found.paid})
    return [
        ("own program", f"{hexed(found.root)}; not made of this package's parts, nobody vouches for it"),
        ("it reads", "\n".join(reads)),
        ("sealer's word", ", ".join(found.claimed) or "nothing"),
        ("hints", ", ".join(found.hints) or "none"),
        ("it pays", f"{EQUALS} equal honest trainers of a first round: {paid[0]} to {paid[-1]} tokens each\n"
                    f"any seat in any task: {tokens(max(0, least))} to {tokens(most)} tokens, as its bounds prove"),
    ]  # fmt: skip


def _training(rule: TrainingRule) -> str:
    """Say in a line how everybody trains; what is as usual is left out."""
    long = f", at most {rule.max_steps:,} steps" if rule.max_steps else ""
    own = ", ".join(f"{name} {value}" for name, value in rule.parameters)
    parts = [
        f"{rule.epochs} epochs of batches of {rule.batch_size}{long}",
        f"{rule.optimizer}, rate {rule.learning_rate_ppm / 1e6:g}",
        f"{rule.schedule} over the rounds" if rule.schedule != "constant" else "",
        *(
            f"{name} {value / 1e6:g}" if value else ""
            for name, value in (
                ("momentum", rule.momentum_ppm), ("weight decay", rule.weight_decay_ppm),
                ("gradients clipped at", rule.clip_norm_ppm),
            )
        ),
        rule.precision if rule.precision != "float32" else "",
        f"{rule.algorithm} ({own})" if own else rule.algorithm,
    ]  # fmt: skip
    return ", ".join(part for part in parts if part)


def rules(spec: TaskSpec) -> dict[str, Any]:
    """Return the frozen rules for `--json`."""
    from fl_platform.protocol.document import to_json

    return {"digest": hexed(spec.digest), "bounty_wei": spec.money.pot * spec.money.rounds, "rules": to_json(spec)}


def phase(history: TaskHistory) -> str:
    """Say in a word where a task stands."""
    return "closed" if history.head.closed else history.head.phase.name.lower()


def summary(history: TaskHistory) -> dict[str, Any]:
    """Return where a task stands for `--json`."""
    return {
        "task": history.task,
        "state": phase(history),
        "round": history.head.round,
        "rounds": history.opened.rounds,
        "pot_wei": history.opened.pot,
        "owner": hexed(history.opened.owner),
        "aggregator": hexed(history.head.aggregator),
        "members": {hexed(address): stake for address, stake in history.members.items()},
    }
