"""`fl-platform witness run`, and what `task open` says of witnesses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fl_platform.attacks import parse_attacks
from fl_platform.cli.main import run
from fl_platform.ledger.complaints import Complaints
from fl_platform.round.transport import LocalTransport
from tests.support.rehearsal import rehearsal, small_settings


def test_a_witness_says_what_is_to_be_had(tmp_path: Path) -> None:
    folder, out, password = tmp_path / "w", tmp_path / "found.json", tmp_path / "password"
    password.write_text("test\n")
    with rehearsal(folder, small_settings(attacks=parse_attacks(["random-hashes=1"]))) as (workspace, parties):
        entries = parties.aggregator.collect(LocalTransport(parties.everybody))
        parties.aggregator.roster(entries)
        signer, hostile = (
            parties.wallets["aggregator"],
            {m.trainer.address for m in parties.members if m.kind != "honest"},
        )
        wanted = [entry.receipt for entry in entries if entry.stake][:2]
        wanted += [entry.receipt for entry in entries if entry.receipt.trainer in hostile]
        Complaints(workspace.contracts(signer), signer).want(parties.task, 0, wanted)
    common = ["--workdir", str(folder), "--password-file", str(password)]
    words = [*common, "witness", "run", "1", "--wallet", "auditor", "--once", "--json", str(out)]
    assert run(words) == 0
    had = {bytes.fromhex(said["trainer"].removeprefix("0x")): said["had"] for said in json.loads(out.read_text())}
    assert had == {receipt.trainer: receipt.trainer not in hostile for receipt in wanted}
    assert run([*common, "witness", "run", "1", "--wallet", "owner", "--once"]) == 5


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ([], "you alone are the witness"),
        (["--no-witness"], "nobody is a witness"),
        (["--witness", "auditor"], "1 of 1 must say that an update is not to be had"),
        (["--witness", "auditor", "--witness", "friend"], "2 of 2 must say"),
        (["--witness", "aggregator"], "would be its own witness"),
        (["--witness", "auditor", "--no-witness"], "choose --witness or --no-witness"),
    ],
)
def test_task_open_says_who_is_a_witness(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], named: list[str], said: str
) -> None:
    password = tmp_path / "password"
    password.write_text("test\n")
    common = ["--workdir", str(tmp_path / "w"), "--password-file", str(password)]
    for name in ("owner", "aggregator", "auditor", "friend"):
        assert run([*common, "wallet", "new", name]) == 0
    assert run([*common, "deploy", "--wallet", "owner"]) == 0
    capsys.readouterr()
    data = ["--data", "digits", "--trainers", "2", "--rounds", "1"]
    run([*common, "task", "open", "--wallet", "owner", "--aggregator", "aggregator", *data, *named])
    told = capsys.readouterr()
    assert said in " ".join((told.out + told.err).split())
