"""Write the documents that repeat the code, or (`--check`) fail when one is not what the code says.

    python scripts/generate_docs.py            writes docs/CLI.md, METRICS.md, TROUBLESHOOTING.md
    python scripts/generate_docs.py --check    changes nothing; exit 1 and the name of each stale file

docs/CLI.md: every command of `fl-platform` as its `--help` prints it, and the exit codes.
docs/METRICS.md: every value that `--log` writes.
docs/TROUBLESHOOTING.md: the wrong things that tests do, with what is seen and what to do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from fl_platform.cli.main import EXIT_CODES, cli
from fl_platform.sinks.names import METRICS
from fl_platform.sinks.opening import FORMS

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 110


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below a group with its words, groups before what they hold."""
    context = click.Context(group, info_name="fl-platform")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def help_of(command: click.Command, words: tuple[str, ...]) -> str:
    """Return a command's help as a terminal of 110 columns shows it."""
    context = click.Context(
        command, info_name=" ".join(("fl-platform", *words)), terminal_width=WIDTH, max_content_width=WIDTH
    )
    lines = command.get_help(context).splitlines()
    return "\n".join(line.rstrip() for line in lines)


def command_line() -> str:
    """Return docs/CLI.md."""
    parts = [
        "# Command line",
        "Written by `python scripts/generate_docs.py` from the commands themselves; do not edit. `python -m "
        "fl_platform` is the same as `fl-platform`.",
        "Every command that reports takes `--json FILE` (`-` is standard output, and the tables then go to standard "
        "error): amounts are exact integers of wei there, fields that end in `_wei`; tables show tokens.",
        "## Exit codes",
        "| code | meaning |\n|---|---|\n" + "\n".join(f"| {code} | {text} |" for code, text in EXIT_CODES.items()),
        "An error is one line on standard error that says what to do; `-v` adds where it arose.",
        "## fl-platform",
        f"```text\n{help_of(cli, ())}\n```",
    ]
    for words, command in commands(cli):
        parts.append(f"{'#' * (len(words) + 1)} fl-platform {' '.join(words)}")
        parts.append(f"```text\n{help_of(command, words)}\n```")
    return "\n\n".join(parts) + "\n"


def metrics() -> str:
    """Return docs/METRICS.md."""
    rows = [
        f"| `{metric.name}{f'[{metric.label}]' if metric.label else ''}` | {metric.unit} | {', '.join(metric.roles)} | "
        f"{metric.about} |"
        for metric in METRICS.values()
    ]
    return METRICS_PAGE.format(rows="\n".join(rows), forms=FORMS)


METRICS_PAGE = """# What is reported of a round

Written by `python scripts/generate_docs.py` from `fl_platform/sinks/names.py`; do not edit.

A terminal shows one line a round. `--log WORDS` of `trainer run` and `aggregator run` writes all values, and may be
given several times: {forms}. All but JSON Lines need the extra `sinks`.
Writing sends nothing to another party of the task: a trainer's losses and what its validation rows say stay with it.

A place that fails or hangs (a full disk, a server that is away) is said once and costs records, never a round.

| value | unit | written by | what it is |
|---|---|---|---|
{rows}

`reference` is the owner's `trainer run --reference`. A trainer measures its validation rows only where it is asked to
(`--validate`, which is on with `--log`), after it has signed its update and before it hands it out, so the answer waits
for it: of round N the model that round N starts from, and when the task is over the last one, as round N = the number
of rounds. Models with BatchNorm are measured with
statistics of the party's own training rows. `step_seconds` is wall time at the aggregator: `train` until the roster is
on chain, `roster` from there until judging begins (in strict rounds it holds the second message), `judge` until the
seal is on chain.

- `jsonl:FILE`: one object a line, appended: `time` (Unix seconds), `role`, `who` (the wallet's name), `task`, `round`,
  `values`; a number that is not finite is null.
- `tensorboard:DIR`: a run `task-N.ROLE.WHO`, scalars `NAME` or `NAME/LABEL`, the round as step.
- `mlflow:URI`: a folder or an http(s) address; experiment `fl-platform`, a run for each process, metrics `NAME` or
  `NAME/LABEL`, the round as step.
- `prometheus:[HOST:]PORT`: the last record at `/metrics`, gauges `fl_platform_NAME` with labels `task`, `role`, `who`
  and the value's own, `fl_platform_round` and `fl_platform_time_seconds`; on 127.0.0.1 unless HOST is given, without
  any password: whoever reaches the port reads it.

Texts are in JSON Lines only. Labels may come from other parties (addresses, codes): all but letters, digits and `_.:-`
become `?`.
"""

def troubleshooting() -> str:
    """Return docs/TROUBLESHOOTING.md."""
    sys.path.insert(0, str(ROOT))  # the tests are installed nowhere
    from tests.support.wrong_messages import page

    return page()


DOCUMENTS: Mapping[Path, Callable[[], str]] = {
    ROOT / "docs" / "CLI.md": command_line,
    ROOT / "docs" / "METRICS.md": metrics,
    ROOT / "docs" / "TROUBLESHOOTING.md": troubleshooting,
}


def main() -> int:
    """Write or compare every document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args().check
    stale = []
    for path, make in DOCUMENTS.items():
        text = make()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            stale.append(path.relative_to(ROOT))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    for name in stale:
        print(f"{name} is not what the code says: run `python scripts/generate_docs.py`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
