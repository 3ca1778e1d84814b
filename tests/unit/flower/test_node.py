"""A SuperNode of ours runs the courier's app and no other: a SuperLink is a stranger's."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flwr.cli.build import build_fab_from_files
from flwr.supercore.run import RunNotRunningException

from fl_platform.errors import DocumentInvalid
from fl_platform.flower.deployment import DEPLOYED_CLIENT, app_project
from fl_platform.flower.node import MAX_FAB_BYTES, check_app, only_ours
from fl_platform.flower.processes import flower_environment, own_environment


def zipped(*files: tuple[str, bytes]) -> bytes:
    """Return an archive of these files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return stream.getvalue()


PROJECT = app_project().encode()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_couriers_app_passes() -> None:
    courier, _ = build_fab_from_files({"pyproject.toml": PROJECT})  # as `flwr run` does
    check_app(courier)
    fab: Any = SimpleNamespace(content=courier)
    assert only_ours(lambda *_: fab)("digest", 7) is fab


@pytest.mark.parametrize(
    "fab",
    [
        zipped(("pyproject.toml", app_project("evil:app").encode()), ("evil.py", b"import os"), (".info/CONTENT", b"")),
        zipped(("pyproject.toml", PROJECT), ("fl_platform/x.py", b"import os"), (".info/CONTENT", b"")),
        zipped(("pyproject.toml", app_project("os:system").encode()), (".info/CONTENT", b"")),
        zipped(("pyproject.toml", PROJECT), (".info/CONTENT", b""), ("../x.py", b"")),
        zipped(("pyproject.toml", PROJECT), (".info/CONTENT", bytes(MAX_FAB_BYTES + 1))),
        zipped(("pyproject.toml", b"\xff"), (".info/CONTENT", b"")),
        zipped(("pyproject.toml", b"["), (".info/CONTENT", b"")),
        zipped(),
        bytes(MAX_FAB_BYTES + 1),
        b"no archive",
        zipped(("pyproject.toml", PROJECT), (".info/CONTENT", b""))[:-30],
    ],
)
def test_another_app_is_never_installed(fab: bytes) -> None:
    with pytest.raises(DocumentInvalid, match="the SuperLink's app"):
        check_app(fab)
    made: Any = SimpleNamespace(content=fab)
    with pytest.raises(RunNotRunningException):
        only_ours(lambda *_: made)("digest", 7)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_second_project_behind_the_first_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match="files of its own"):
        check_app(zipped(("pyproject.toml", PROJECT.replace(DEPLOYED_CLIENT.encode(), b"os:system")),
                         ("pyproject.toml", PROJECT), (".info/CONTENT", b"")))  # fmt: skip


def test_flowers_processes_get_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FL_PLATFORM_PASSWORD", "secret")
    monkeypatch.setenv("FL_PLATFORM_SEPOLIA_URL", "https://key@host")
    assert not {"FL_PLATFORM_PASSWORD", "FL_PLATFORM_SEPOLIA_URL"} & flower_environment(tmp_path).keys()
    assert own_environment(tmp_path)["FL_PLATFORM_PASSWORD"] == "secret"
