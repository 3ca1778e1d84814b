"""`fl-platform policy`: what a data protection officer's file allows here, and whether it would allow a task."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fl_platform.cli.common import (
    DATA,
    Options,
    json_option,
    printable,
    reading,
    task_argument,
    wei_of,
    write_json,
)

if TYPE_CHECKING:
    from fl_platform.round.site_policy import Answer, SitePolicy

_SAYS = {True: "yes", False: "no", None: "not known"}


@click.group()
def policy() -> None:
    """Show what your site's policy allows, and try a task on it.

    Policies are files of your site (docs/SITE_POLICY.md); no command changes one or leaves one out.

    Example: fl-platform policy check 1
    """


@policy.command()
@json_option
@click.pass_obj
def show(options: Options, json_file: Path | None) -> None:
    """Show all files that hold in this folder on this machine, and what each word allows.

    Example: fl-platform policy show
    """
    from fl_platform.cli.show import console, pairs
    from fl_platform.round.site import FILE, MACHINE_FILE, VARIABLE, Site

    out, found = console(json_file), Site(options.workdir).policies()
    for one in found:
        pairs(out, printable(str(one.path)), list(one.said().items()) or [("no word", "it forbids nothing")])
    if not found:
        out.print(
            f"no policy: neither {VARIABLE} nor {MACHINE_FILE} nor {options.workdir / FILE}", markup=False,
            soft_wrap=True,
        )  # fmt: skip
    elif len(found) > 1:
        out.print("all of them hold at once: what one forbids is forbidden")
    write_json(json_file, [{"file": str(one.path), "allows": one.said(), "words": _values(one)} for one in found])


@policy.command()
@task_argument
@click.option("--data", default="", help=f"What you would train with: {DATA} Default: by the task's model.")
@click.option("--stake", type=wei_of, metavar="TOKENS", help="What you would lock. Default: the task's least.")
@json_option
@click.pass_obj
def check(options: Options, task: int, data: str, stake: int | None, json_file: Path | None) -> None:
    """Try a task on the policies, word by word, before anything is locked.

    Norm, rows and hours are looked at in each round; hours are shown as they are now and refuse no task. Your code is
    hashed and not run. Exits 0 when the task is allowed, 5 when a word forbids it, 3 when it hangs on code that is
    not known: say it with --data.

    Example: fl-platform policy check 1 --data my_task:Mine
    """
    from fl_platform.cli.show import console, table
    from fl_platform.errors import Incomplete, PolicyRefused
    from fl_platform.round.site import Site, code_of
    from fl_platform.round.site_policy import Asked, hours_answer, task_answers

    out, now = console(json_file), datetime.now().astimezone()
    with reading(options) as workspace:
        reader = workspace.reader(task)
        spec = reader.spec
    code = code_of(data, model=spec.model.name)
    asked = Asked(task, spec, spec.money.stake if stake is None else stake, code)
    policies = Site(options.workdir).policies()
    decided = [(one, answer) for one in policies for answer in task_answers(one, asked)]
    shown = decided + [(one, answer) for one in policies for answer in hours_answer(one, now)]
    if not policies:
        out.print("no policy holds here")
    else:
        table(out, f"task {task} before your site's policies", ("file", "word", "allowed", "it allows", "here it is"), [
            (str(one.path), answer.word, _SAYS[answer.allowed], answer.limit, answer.value) for one, answer in shown
        ])  # fmt: skip
    no = any(answer.allowed is False for _, answer in decided)
    unknown = any(answer.allowed is None for _, answer in decided)
    allowed = False if no else None if unknown else True
    out.print({
        True: f"task {task} is allowed", False: f"task {task} is not allowed",
        None: f"task {task} hangs on your code: say which with --data module:NAME",
    }[allowed])  # fmt: skip
    write_json(json_file, {"task": task, "allowed": allowed, "answers": [_report(*pair) for pair in shown]})
    codes = {True: 0, False: PolicyRefused.exit_code, None: Incomplete.exit_code}
    raise click.exceptions.Exit(codes[allowed])


def _report(one: SitePolicy, answer: Answer) -> dict[str, Any]:
    return {
        "file": str(one.path), "word": answer.word, "allowed": answer.allowed, "limit": answer.limit,
        "value": answer.value,
    }  # fmt: skip


def _values(one: SitePolicy) -> dict[str, Any]:
    """Return each word's value for `--json`; the stake is in wei."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return [plain(inner) for inner in value]
        if isinstance(value, bytes):
            return "0x" + value.hex()
        return value if isinstance(value, str | int | float) else str(value)

    renamed = {"max_stake": "max_stake_wei"}
    return {renamed.get(name, name): plain(getattr(one, name)) for name in one.said()}
