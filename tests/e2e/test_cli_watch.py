"""`fl-platform watch`: an honest seal stands, a lying one falls and costs its aggregator the bond."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fl_platform.cli.demo.lying import lying_aggregator
from fl_platform.cli.main import run
from fl_platform.round.transport import LocalTransport
from tests.support.rehearsal import rehearsal, small_settings


@pytest.mark.parametrize("lies", [False, True])
def test_watch_once(tmp_path: Path, lies: bool) -> None:
    folder, out, password = tmp_path / "w", tmp_path / "found.json", tmp_path / "password"
    password.write_text("test\n")
    with rehearsal(folder, small_settings(lying=True)) as (workspace, parties):
        transport = LocalTransport(parties.everybody)
        first = lying_aggregator(workspace, parties, when=0) if lies else parties.aggregator
        first.run(transport, rounds=1)
    common = ["--workdir", str(folder), "--password-file", str(password)]
    code = run([*common, "watch", "1", "--wallet", "auditor", "--once", "--json", str(out)])
    found = json.loads(out.read_text())
    if not lies:
        assert (code, found) == (0, [])
        return
    assert code == 4
    (finding,) = found
    assert (finding["round"], finding["upheld"]) == (0, True)
    again = run([*common, "watch", "1", "--wallet", "auditor", "--once", "--json", str(out)])
    assert (again, json.loads(out.read_text())) == (3, [])  # the seal is gone: nothing is left to look at
