"""`fl-platform follow`: take over an invitation to look at its task: no wallet, no stake.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

from pathlib import Path

import click

from fl_platform.cli.common import Options, hexed, json_option, reading, write_json


@click.command()
@click.argument("invitation", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
@click.pass_obj
def follow(options: Options, invitation: Path, json_file: Path | None) -> None:
    """Take over an invitation, to look at its task before you join, to audit it, or to aggregate.

    Compares the contracts on chain with this package's and the rules with the invitation's, shows the rules and what
    the owner's earlier tasks paid, writes the owner's learning code into this folder for you to read, and lets later
    commands here know network and store. Nothing is locked, and no wallet is needed.

    Example: fl-platform follow hospital.toml
    """
    from fl_platform.cli.join import consequences, earlier_tasks, options_of, take_over
    from fl_platform.cli.next_steps import after_following
    from fl_platform.cli.rules import rules, show_rules
    from fl_platform.cli.show import console
    from fl_platform.task.invitation import read_invitation

    invited, out = read_invitation(invitation), console(json_file)
    options = options_of(options, invited)
    with reading(options) as workspace:
        reader = take_over(workspace, options, invited, out, works=False)
        show_rules(out, invited.task, reader.spec)
        out.print()
        for line in (*consequences(reader, reader.spec.money.stake), earlier_tasks(workspace, reader)):
            out.print(f"- {line}", markup=False, soft_wrap=True)
        for line in after_following(invitation, invited.task, reader.spec.model.name):
            out.print(line, markup=False)
        report = {"task": invited.task, "rules": hexed(invited.rules), "network": options.network,
                  "store": options.store, "code": invited.code, **rules(reader.spec)}  # fmt: skip
    write_json(json_file, report)
