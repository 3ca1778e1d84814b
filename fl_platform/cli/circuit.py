"""`fl-platform task circuit`: the circuit of a rule, for a ceremony that makes its keys before a task is opened.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

from pathlib import Path

import click

from fl_platform.cli.common import json_option, write_json
from fl_platform.protocol.spec import MAX_PROVED


@click.command()
@click.argument("out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--proofs", type=click.IntRange(1, MAX_PROVED), required=True, metavar="TRAINERS", help="Trainers it has room for."
)
@click.option("--aggregators", type=click.IntRange(1, 8), default=1, show_default=True, help="That the task will list.")
@click.option("--byzantine", type=click.IntRange(0, 1_000), default=0, help="As for `task open`: multi-Krum, or mean.")
@click.option(
    "--worth", type=click.Choice(["anchored", "leave-one-out", "equal"]), default="anchored", show_default=True
)
@click.option(
    "--program", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A round program of your own."
)
@json_option
def circuit(
    out: Path, proofs: int, aggregators: int, byzantine: int, worth: str, program: Path | None, json_file: Path | None
) -> None:  # fmt: skip
    """Write the circuit by which a task with these rules proves its rounds, as constraints that snarkjs reads.

    It depends on nothing but these options. A ceremony makes keys from it (docs/PROOF_KEYS.md); `task open` with the
    same options, `--proofs` and `--proof-key` then opens the task.

    Example: fl-platform task circuit rule.r1cs --proofs 4
    """
    from fl_platform.cli.show import console, pairs, working
    from fl_platform.judging.circuits import circuit_of_rule

    made = circuit_of_rule(proofs, aggregators, byzantine, worth, None if program is None else program.read_bytes())
    with working("compiling"):
        out.write_bytes(made.r1cs())
    power = (made.system.constraints + 3).bit_length()
    pairs(console(json_file), "", [
        ("circuit", f"{out}, {made.system.constraints:,} constraints"),
        ("program", f"0x{made.program.root.hex()}"),
        ("powers of tau", f"2^{power} at least"),
    ])  # fmt: skip
    write_json(json_file, {
        "file": str(out), "constraints": made.system.constraints, "program": f"0x{made.program.root.hex()}",
        "power": power,
    })  # fmt: skip
