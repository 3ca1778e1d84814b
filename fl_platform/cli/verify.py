"""`fl-platform verify`: a task, one round, a proof file or a bundle, without any key; line by line.

Tests: tests/unit/cli/test_cli_verify.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fl_platform.cli.common import Options, accept_option, json_option, read_proof, reading, write_json

if TYPE_CHECKING:
    from rich.console import Console

    from fl_platform.audit.verify import Line, Verification
    from fl_platform.audit.verify_files import Offline

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
MODELS = "model-*.bin"


@click.command()
@click.argument("task", type=click.IntRange(1), required=False)
@click.argument("round_number", metavar="[ROUND]", type=click.IntRange(0), required=False)
@click.option("--proof", type=_FILE, help="A proof file of `fl-platform prove`; alone, or against ROUND or --bundle.")
@click.option("--bundle", type=_FILE, help="Offline: a round's bundle, with --spec. No chain and no store is asked.")
@click.option("--spec", type=_FILE, help="Offline: the task's rules.")
@click.option("--sums", type=_FILE, help="Offline: the round's sums; shows more.")
@click.option("--models", type=_FOLDER, help=f"Offline: folder with {MODELS}; with --sums shows all that a bundle can.")
@accept_option
@json_option
@click.pass_obj
def verify(
    options: Options, task: int | None, round_number: int | None, proof: Path | None, bundle: Path | None,
    spec: Path | None, sums: Path | None, models: Path | None, json_file: Path | None,
) -> None:  # fmt: skip
    """Verify a task, a round, a proof or a bundle without any key.

    \b
    verify TASK                              every sealed round from chain and store
    verify TASK ROUND [--proof FILE]         one round; with a proof file also that
    verify --proof FILE                      the file alone: that its list follows from its commitment
    verify --bundle FILE --spec FILE ...     offline: `audit TASK --export DIR` writes the files

    Says line by line what was checked and what was not, by layer: M recomputed, P commitments, S settlement proof.
    Exits 0 when all was checked and is equal, 3 when equal but not all could be checked, 4 at a difference.

    Example: fl-platform verify 1
    """
    from fl_platform.cli.show import console

    _require_usage(task, bundle, spec, proof, more=(sums, models))
    out = console(json_file)
    if task is not None:
        found = _from_chain(options, task, round_number, proof)
    else:
        found = _from_files(proof, bundle, spec, sums, models)
    _show(out, found)
    write_json(json_file, _as_json(found))
    raise click.exceptions.Exit(found.exit_code)


def _require_usage(
    task: int | None, bundle: Path | None, spec: Path | None, proof: Path | None, *, more: Sequence[Path | None]
) -> None:
    if task is None and bundle is None and proof is None:
        raise click.UsageError("say what to verify: TASK, --proof FILE or --bundle FILE")
    if task is not None and bundle is not None:
        raise click.UsageError("TASK asks chain and store, --bundle files: give one of them")
    if (bundle is None) != (spec is None):
        raise click.UsageError("--bundle and --spec go together: a bundle is judged by its task's rules")
    if bundle is None and any(path is not None for path in more):
        raise click.UsageError("--sums and --models go with --bundle")


def _from_chain(options: Options, task: int, round_number: int | None, proof: Path | None) -> Verification:
    from fl_platform.audit import proving, verify
    from fl_platform.cli.show import bar

    file = None if proof is None else read_proof(proof)
    if file is not None and round_number is None:
        round_number = file.context.round
    with reading(options) as workspace, bar("verifying", None) as progress:
        reader = workspace.reader(task)
        reader.history()  # an unknown task is the caller's mistake
        if round_number is not None:
            proving.require_sealed(reader, round_number)
        gate = verify.gate_of(workspace.contracts())

        def watch(done: int, rounds: int) -> None:
            progress.of(rounds)
            progress.at(done)

        found = verify.verify_task(reader, gate, first=round_number or 0, last=round_number, watch=watch)
        if file is None or round_number is None:
            return found
        lines = verify.proof_of_round(reader, gate, round_number, file)
    return verify.Verification((*found.lines, *lines))


def _from_files(
    proof: Path | None, bundle: Path | None, spec: Path | None, sums: Path | None, models: Path | None
) -> Verification:
    from fl_platform.audit.verify import Verification, proof_lines

    file = None if proof is None else read_proof(proof)
    if bundle is None or spec is None:
        assert file is not None
        return Verification(proof_lines(file, None))
    offline = _offline(bundle, spec, sums, models)
    lines = offline.lines()
    return Verification(lines if file is None else (*lines, *offline.proof_lines(file)))


def _offline(bundle: Path, spec: Path, sums: Path | None, models: Path | None) -> Offline:
    from fl_platform.audit.verify_files import Files, Offline, models_by_digest

    there = {} if models is None else {path.name: path.read_bytes() for path in sorted(models.glob(MODELS))}
    return Offline(
        Files(
            spec.read_bytes(), bundle.read_bytes(), None if sums is None else sums.read_bytes(),
            {} if models is None else models_by_digest(there),
        )
    )  # fmt: skip


STYLES = {"equal": "", "DIFFERENCE": "bold red", "not checked": "yellow", "none": "dim"}


def _show(out: Console, found: Verification) -> None:
    from fl_platform.audit.verify import LEGEND

    out.print(LEGEND, style="dim", markup=False)
    for line in found.lines:
        out.print(str(line), style=STYLES[line.result], markup=False)
    said = {
        0: "all was checked and is equal",
        3: "what could be checked is equal; the lines `not checked` say what could not",
        4: "there is a DIFFERENCE: trust nothing that rests on it",
    }
    out.print(said[found.exit_code], style="bold", markup=False)


def _as_json(found: Verification) -> dict[str, Any]:
    return {
        "ok": found.exit_code != 4,
        "exit_code": found.exit_code,
        "lines": [_line(line) for line in found.lines],
    }


def _line(line: Line) -> dict[str, Any]:
    return {**vars(line), "result": line.result.value}
