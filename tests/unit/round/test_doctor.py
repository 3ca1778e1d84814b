"""Every kind of finding, made by the thing that it finds."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from fl_platform.chain import wallets
from fl_platform.config import MINIMAL, NETWORKS, Network
from fl_platform.round import doctor
from fl_platform.round.doctor import Finding, Grade, Wanted, examine
from fl_platform.store.gateway import GatewayStore
from fl_platform.task.workspace import Workspace

PASSWORD = "a password of tests"
REQUIRES = (
    "numpy<3,>=1.26", "rich<15,>=14", 'numba>=0.62; extra == "fast"', 'flwr[simulation]==1.41.0; extra == "sim"',
    'nothing>=1; python_version < "3" and extra == "fast"',
)  # fmt: skip


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(tmp_path / "w", NETWORKS["embedded"], password=PASSWORD, light=True, policy=MINIMAL) as made:
        yield made


def verdicts(found: Iterator[Finding] | tuple[Finding, ...]) -> dict[str, Grade]:
    return {one.about: one.verdict for one in found}


def test_packages_are_held_against_what_is_asked_for() -> None:
    there = {"numpy": "2.1.0", "rich": "14.0.0", "flwr": "1.42.0"}
    found = {one.about: one for one in doctor.packages(REQUIRES, there.get)}
    assert found["packages"] == Finding("packages", Grade.OK, "2 as wanted")
    assert (found["extra fast"].verdict, found["extra sim"].verdict) == (Grade.NOTE, Grade.NOTE)
    assert "without numba" in found["extra fast"].text
    assert "nothing" not in found["extra fast"].text
    assert "flwr 1.42.0 instead of ==1.41.0" in found["extra sim"].text
    wrong = next(doctor.packages(REQUIRES, {"rich": "13.0.0"}.get))
    assert (wrong.about, wrong.verdict) == ("packages", Grade.MEND)
    assert "numpy is absent" in wrong.text
    assert "rich 13.0.0, wanted <15,>=14" in wrong.text


def test_an_old_python_is_mended() -> None:
    assert doctor.python((3, 10, 1)).verdict is Grade.MEND
    assert doctor.python((3, 11, 0)).verdict is Grade.OK


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("free", "verdict"), [(2**20, Grade.MEND), (2**30, Grade.NOTE), (2**40, Grade.OK)], ids=["full", "low", "ok"]
)
def test_the_disk_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: Grade) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(2**41, 0, free))
    assert verdicts(doctor.folder(tmp_path / "new" / "w")) == {"workdir": Grade.OK, "disk": verdict}


def test_a_folder_that_cannot_be_written_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refused)
    assert verdicts(doctor.folder(tmp_path)) == {"workdir": Grade.MEND}


def test_wallets_open_and_are_private(own: Workspace) -> None:
    where = own.root / "wallets"
    assert verdicts(doctor.keys(where, PASSWORD)) == {"wallets": Grade.NOTE}
    own.create_wallet("me")
    other = wallets.create(where, "other", "another password", light=True)
    assert verdicts(doctor.keys(where, PASSWORD)) == {"wallet me": Grade.OK, "wallet other": Grade.MEND}
    assert verdicts(doctor.keys(where, None)) == {"wallets": Grade.NOTE}
    other.path.chmod(0o644)
    told = next(one for one in doctor.keys(where, "another password") if one.about == "wallet other")
    assert f"chmod 600 {other.path}" in told.text


def test_a_long_path_of_sockets_is_mended(tmp_path: Path) -> None:
    assert doctor.sockets(Workspace(Path("w"), NETWORKS["embedded"])).verdict is Grade.OK
    deep = doctor.sockets(Workspace(tmp_path / ("d" * 100), NETWORKS["embedded"]))
    assert deep.verdict is Grade.MEND
    assert "107" in deep.text


@pytest.mark.parametrize(
    ("block", "local", "verdict"),
    [(1000, False, Grade.OK), (1060, False, Grade.OK), (1061, False, Grade.MEND), (1061, True, Grade.NOTE),
     (100, False, Grade.OK), (99, False, Grade.MEND), (99, True, Grade.OK)],
)  # fmt: skip
def test_clocks_agree(block: int, local: bool, verdict: Grade) -> None:
    assert doctor.clock(block, 1000, local=local).verdict is verdict


def test_a_network_is_followed_as_far_as_it_goes(own: Workspace) -> None:
    me = own.create_wallet("me")
    assert verdicts(doctor.network(own)) == {
        "network embedded": Grade.OK, "contracts": Grade.MEND, "coin of me": Grade.MEND
    }  # fmt: skip
    own.fund(me)
    assert verdicts(doctor.network(own))["coin of me"] is Grade.OK


def test_a_node_that_does_not_answer_is_mended(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{free.getsockname()[1]}"
        nobody = Network("anvil", f"http://{where}")
        with Workspace(tmp_path, nobody, journal=None, policy=MINIMAL) as own:
            (found,) = doctor.network(own)
        assert (found.about, found.verdict) == ("network anvil", Grade.MEND)
        assert "is the node running" in found.text
        assert doctor.port(where).verdict is Grade.MEND
        free.listen()
        assert doctor.port(where).verdict is Grade.OK
    for text in ("", "nowhere", "host:", ":9092", "host:0", "host:70000"):
        assert "is no HOST:PORT" in doctor.port(text).text


def test_a_store_is_written_and_read(own: Workspace, tmp_path: Path) -> None:
    assert doctor.store(own).verdict is Grade.OK
    gateway = GatewayStore("http://127.0.0.1:9")
    assert doctor.store(Workspace(tmp_path, own.network, store=gateway)).verdict is Grade.NOTE
    (tmp_path / "blocked").write_text("a file, where a folder should be")
    assert doctor.store(Workspace(tmp_path / "blocked", own.network)).verdict is Grade.MEND


def test_everything_is_examined_and_no_secret_told(own: Workspace) -> None:
    own.create_wallet("me")
    found = tuple(examine(Wanted(own, PASSWORD, "127.0.0.1:x")))
    assert {"python", "packages", "workdir", "disk", "wallet me", "sockets", "network embedded", "contracts",
            "coin of me", "store", "SuperLink"} <= set(verdicts(found))  # fmt: skip
    assert not any(PASSWORD in one.text for one in found)
