"""What an owner may choose of a task's rules: one list of options for every command that makes some.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from fl_platform.cli.common import DATA, wei_of
from fl_platform.cli.defaults import FILE
from fl_platform.errors import ConfigError
from fl_platform.learning.public import PUBLIC, TRAINERS
from fl_platform.protocol.spec import MAX_BATCH, MAX_EPOCHS, MAX_PROVED, OPTIMIZERS, PRECISIONS, SCHEDULES

if TYPE_CHECKING:
    from fl_platform.learning.plan import TrainPlan
    from fl_platform.round.data_choice import Lesson
    from fl_platform.round.offer import Offer
    from zk.groth16.verifier import VerifyingKey

Command = TypeVar("Command", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)

_OPTIONS = (
    click.option("--title", default="", help="Shown to trainers. Default: the data set's name."),
    click.option("--data", default="digits", show_default=True, help=DATA),
    click.option("--model", default="", help="Of a public data set, as in mnist-mlp. Default: its usual one."),
    click.option(
        "--data-seed", default=0, show_default=True, help="How the public data set is dealt; tell the trainers."
    ),
    click.option("--mnist", type=_FOLDER, help="Folder of MNIST's idx files."),
    click.option(
        "--trainers",
        type=click.IntRange(1, 100_000),
        help=f"How many are expected. Default: {TRAINERS}, or as many as the data come in parts.",
    ),
    click.option("--rounds", type=click.IntRange(1, 65_535), default=5, show_default=True),
    click.option("--pot", type=wei_of, metavar="TOKENS", default="100", show_default=True, help="Bounty of one round."),
    click.option("--stake", type=wei_of, metavar="TOKENS", help="Least stake of a trainer. Default: half a pot."),
    click.option("--bond", type=wei_of, metavar="TOKENS", help="Least bond of an aggregator. Default: two pots."),
    click.option(
        "--fee-bps",
        type=click.IntRange(0, 10_000),
        default=500,
        show_default=True,
        help="Aggregator's part of each pot.",
    ),
    click.option(
        "--base-bps",
        type=click.IntRange(0, 10_000),
        default=0,
        show_default=True,
        help="Part of each pot paid by stake.",
    ),
    click.option("--epochs", type=click.IntRange(1, MAX_EPOCHS), help="Local epochs. Default: what suits the data."),
    click.option("--batch-size", type=click.IntRange(1, MAX_BATCH), help="Default: what suits the data."),
    click.option(
        "--learning-rate", type=click.FloatRange(0.0, 1_000.0, min_open=True), help="Default: what suits the data."
    ),
    click.option(
        "--optimizer",
        type=click.Choice(OPTIMIZERS),
        default="sgd",
        show_default=True,
        help="Of local training; it starts anew each round.",
    ),
    click.option("--momentum", type=click.FloatRange(0.0, 0.999999), default=0.0, show_default=True, help="Of sgd."),
    click.option(
        "--weight-decay",
        type=click.FloatRange(0.0, 1_000.0),
        default=0.0,
        show_default=True,
        help="Of sgd and adam in the gradient, of adamw beside it.",
    ),
    click.option(
        "--schedule",
        type=click.Choice(SCHEDULES),
        default="constant",
        show_default=True,
        help="Of the learning rate over the task's rounds.",
    ),
    click.option(
        "--clip-norm",
        type=click.FloatRange(0.0, 1e9),
        default=0.0,
        show_default=True,
        help="Longest gradient (L2); 0: as it comes.",
    ),
    click.option(
        "--max-steps",
        type=click.IntRange(0, 2**31),
        default=0,
        show_default=True,
        help="At most so many steps a round, for data without an end; 0: whole epochs.",
    ),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="float32",
        show_default=True,
        help="Of products in local training; weights are float32.",
    ),
    click.option(
        "--algorithm",
        default="fedavg",
        show_default=True,
        metavar="NAME[:PARAMETER=INTEGER]",
        help="fedavg, fedprox (as in fedprox:mu_ppm=10000) or scaffold.",
    ),
    click.option(
        "--bits",
        type=click.Choice(["4", "8", "16"]),
        default="8",
        show_default=True,
        help="Of one number of an update.",
    ),
    click.option(
        "--byzantine",
        type=click.IntRange(0, 1_000),
        help="Hostile trainers to withstand by multi-Krum, which drops honest odd ones too. Default: 0, the mean of "
        "what passes the screens.",
    ),
    click.option("--strict", is_flag=True, help="Keys are revealed only after the roster is on chain."),
    click.option(
        "--commitments/--no-commitments",
        default=True,
        show_default=True,
        help="Trainers commit to their updates, so that anybody can check the sums.",
    ),
    click.option(
        "--worth", type=click.Choice(["anchored", "leave-one-out", "equal"]), default="anchored", show_default=True
    ),
    click.option(
        "--program", type=_FILE, help="A round program of your own, as bytes (docs/ROUND_PROGRAMS.md): it judges in "
        "place of the parts that the other options name.",
    ),
    click.option(
        "--proofs", type=click.IntRange(0, MAX_PROVED), metavar="TRAINERS", default=0,
        help="Rounds can be proved, with room for so many trainers (docs/PROOF_KEYS.md). Needs the extra `fast`.",
    ),
    click.option(
        "--proof-key", type=_FILE, help="The .zkey of a ceremony for that circuit. Default: a development key, which "
        "anybody can forge for: local chains only.",
    ),
    click.option(
        "--alpha", metavar="FRACTION", help="Part of earlier rounds' directions taken out of the reference, as in 1/2."
    ),
    click.option(
        "--windows",
        type=click.Choice(["hourly", "minutes", "seconds"]),
        default="hourly",
        show_default=True,
        help="Lengths of a round's intervals; seconds is for rehearsals.",
    ),
    click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="Of the initial model."),
)


def rule_options(command: Command) -> Command:
    """Give a command the options of a task's rules."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def deal_options(command: Command) -> Command:
    """Give a command the options of rows that one machine deals to made-up parties."""
    command = click.option(
        "--root-rows", type=click.IntRange(1), help="Of your own rows, those that the owner keeps. Default: a tenth."
    )(command)
    return click.option(
        "--partition",
        default="",
        help="How your rows are dealt: iid, 2-shard, dirichlet:ALPHA. Default: what suits them.",
    )(command)


def lesson_of(choices: dict[str, Any], **other: Any) -> Lesson:
    """Return which data were chosen, and say so where nobody chose."""
    from fl_platform.round.data_choice import Lesson

    ctx = click.get_current_context(silent=True)
    if ctx is not None and ctx.get_parameter_source("data") is ParameterSource.DEFAULT and choices["data"] in PUBLIC:
        file = "" if Path(FILE).is_file() else f" and no {FILE} in this folder"
        click.echo(f"no --data{file}: this is about {choices['data']}, public data; yours are module:NAME", err=True)
    return Lesson(choices["data"], choices["model"], seed=choices["data_seed"], folder=choices["mnist"], **other)


def offer_of(lesson: Lesson, choices: dict[str, Any], *, token: bytes = bytes(20)) -> Offer:
    """Return the owner's offer; `token`: address of the ERC-20 that pays, zero before there is a chain.

    Raises ConfigError.
    """
    from fl_platform.protocol.spec import Money
    from fl_platform.round.offer import Offer, alpha_of

    pot = choices["pot"]
    trainers = choices["trainers"] or lesson.natural_parts or TRAINERS
    return Offer(
        title=choices["title"] or f"{lesson.data}, {trainers} trainers",
        model_name=lesson.model_name,
        money=Money(
            token=token,
            pot=pot,
            rounds=choices["rounds"],
            stake=(pot + 1) // 2 if choices["stake"] is None else choices["stake"],
            bond=2 * pot if choices["bond"] is None else choices["bond"],
            fee_bps=choices["fee_bps"],
        ),
        trainers=trainers,
        plan=_plan(choices, lesson.plan),
        seed=choices["seed"],
        byzantine=choices["byzantine"],
        bits=int(choices["bits"]),
        strict=choices["strict"],
        commitments=choices["commitments"],
        worth=choices["worth"],
        alpha=None if choices["alpha"] is None else alpha_of(choices["alpha"]),
        base_bps=choices["base_bps"],
        windows=choices["windows"],
        program=b"" if choices["program"] is None else choices["program"].read_bytes(),
        proved=choices["proofs"],
        proof_key=_proof_key(choices),
    )


def _proof_key(choices: dict[str, Any]) -> VerifyingKey | None:
    """Return the verifying key of a ceremony's file; None: none was given."""
    file = choices["proof_key"]
    if file is None:
        return None
    if not choices["proofs"]:
        raise ConfigError("--proof-key is of a circuit with room for some trainers: say how many (`--proofs N`)")
    from fl_platform.judging.circuits import require_prover

    require_prover()
    from zk.groth16 import keys

    return keys.verifying_key(file)


def _plan(choices: dict[str, Any], usual: TrainPlan) -> TrainPlan:
    """Return how everybody trains: what was chosen, else what suits the data."""
    from fl_platform.learning.algorithms import parameters_of

    algorithm, parameters = parameters_of(choices["algorithm"])
    if choices["momentum"] and choices["optimizer"] != "sgd":
        raise ConfigError(f"momentum {choices['momentum']:g} is of sgd, not of {choices['optimizer']}: leave it out")
    named = ("momentum", "weight_decay", "optimizer", "schedule", "clip_norm", "max_steps", "precision")
    return replace(
        usual,
        epochs=choices["epochs"] or usual.epochs,
        batch_size=choices["batch_size"] or usual.batch_size,
        learning_rate=choices["learning_rate"] or usual.learning_rate,
        algorithm=algorithm,
        parameters=parameters,
        **{name: choices[name] for name in named},
    )
