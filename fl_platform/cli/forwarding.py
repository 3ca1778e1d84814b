"""`--fast-forward`: a local chain's clock is moved on, and whoever asked for it is told how far.

Tests: tests/unit/cli/test_cli_next_steps.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fl_platform.cli.common import block_moment

if TYPE_CHECKING:
    from fl_platform.chain.client import Chain


def forward(chain: Chain, until: int) -> None:
    """Return when block time is at least `until`; say on standard error how far a local chain's clock was moved.

    The chain has one clock: the windows of all its tasks pass with it.
    """
    from fl_platform.round.status import span

    before = chain.now()
    if before >= until:
        return
    chain.wait_until(until)
    if chain.local:
        now = chain.now()
        click.echo(
            f"the clock of this local chain was moved on by {span(now - before)}, to {block_moment(now)}: for all of "
            "its tasks", err=True,
        )  # fmt: skip
