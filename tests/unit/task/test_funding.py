"""Tokens of no worth are drawn up to what is missing, and nothing is drawn of a token that is worth something."""

from __future__ import annotations

from pathlib import Path

from fl_platform.config import resolve
from fl_platform.task.funding import draw_missing
from fl_platform.task.workspace import Workspace


def test_only_what_is_missing_is_drawn_and_only_from_the_faucet(tmp_path: Path) -> None:
    with Workspace(tmp_path, resolve("embedded", {}), password="x", light=True) as workspace:
        signer = workspace.create_wallet("me")
        workspace.fund(signer)
        workspace.deploy(signer, with_token=True)
        contracts, held = workspace.contracts(signer), workspace.contracts().token_balance
        token = contracts.faucet.address
        assert draw_missing(workspace, signer, token=token, amount=7)
        assert not draw_missing(workspace, signer, token=token, amount=5)
        assert held(token, signer.address) == 7
        assert draw_missing(workspace, signer, token=token, amount=10)
        assert held(token, signer.address) == 10
        assert not draw_missing(workspace, signer, token=token, amount=10**30)  # more than the faucet gives at once
        workspace.deploy(signer, with_token=True)
        assert held(token, signer.address) == 10
