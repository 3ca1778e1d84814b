"""The owner's learning code travels as an object, and never takes another file's or module's place."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fl_platform.errors import CidMismatch, ConfigError, DocumentInvalid, StoreMissing
from fl_platform.store.memory import MemoryStore
from fl_platform.task.learning_code import MAX_BYTES, digest_of, file_of, publish, receive, refused_name

CODE = b"class Mine: ...\n"


def test_it_arrives_as_it_was_and_its_digest_is_sha256sums(tmp_path: Path) -> None:
    store, source, site = MemoryStore(), tmp_path / "task.py", tmp_path / "site"
    site.mkdir()
    source.write_bytes(CODE)
    code, name = publish(store, source)
    assert (name, digest_of(code)) == ("task.py", hashlib.sha256(CODE).hexdigest())
    for _ in range(2):  # again: nothing changes
        assert receive(store, code, name, site).read_bytes() == CODE


def test_another_file_of_that_name_stays(tmp_path: Path) -> None:
    store, source, site = MemoryStore(), tmp_path / "task.py", tmp_path / "site"
    site.mkdir()
    source.write_bytes(CODE)
    (site / "task.py").write_text("mine = 1\n")
    with pytest.raises(ConfigError, match=f"sha256:{hashlib.sha256(CODE).hexdigest()}.*move it away"):
        receive(store, *publish(store, source), site)
    assert (site / "task.py").read_text() == "mine = 1\n"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../task.py", "no name for learning code"),
        ("/etc/task.py", "no name for learning code"),
        ("task.txt", "no name for learning code"),
        ("task.py\n", "no name for learning code"),
        ("Task.py", "no name for learning code"),
        (".py", "no name for learning code"),
        # a part of Python, of another program's start, installed, or what httpx and requests look for and go without
        *((f"{name}.py", "no name for learning code") for name in (
            "json", "sitecustomize", "usercustomize", "setup", "torch", "fl_platform", "conftest", "brotli", "chardet",
            "simplejson", "socksio", "uvloop", "zstandard", "multitask", "tasks",
        )),
    ],
)
def test_a_name_that_would_stand_for_another_module_is_refused(tmp_path: Path, name: str, says: str) -> None:
    assert says in refused_name(name)
    store = MemoryStore()
    (tmp_path / "task.py").write_bytes(CODE)
    code, _ = publish(store, tmp_path / "task.py")
    with pytest.raises(DocumentInvalid, match="ask its owner"):
        receive(store, code, name, tmp_path / "w")


def test_what_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "task.py"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match=r"1,048,577 bytes; .* 1 to 1,048,576"):
        publish(MemoryStore(), path)
    path.write_bytes(CODE)
    code, name = publish(MemoryStore(), path)
    with pytest.raises((StoreMissing, CidMismatch)):
        receive(MemoryStore(), code, name, tmp_path / "w")
    with pytest.raises(ConfigError, match="cannot read"):
        publish(MemoryStore(), tmp_path / "none.py")


def test_only_a_file_of_this_folder_goes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task.py").write_bytes(CODE)
    assert file_of("task:Mine") == Path("task.py")
    assert [file_of(words) for words in ("digits", "", "torch:Mine", "task", "nowhere:Mine")] == [None] * 5
