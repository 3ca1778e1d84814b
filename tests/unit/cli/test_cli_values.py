"""The words of a command line as values, and values as words."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_platform.chain.addresses import checksum_address
from fl_platform.cli.common import (
    Options,
    address_of,
    moment,
    part_of,
    password,
    pick_wallet,
    tokens,
    wait_to_stop,
    wei_of,
    write_json,
)
from fl_platform.errors import RpcUnavailable, WalletError


@pytest.mark.parametrize(
    ("text", "wei"),
    [("1", 10**18), ("12.5", 125 * 10**17), ("0", 0), ("7wei", 7), ("0.000000000000000001", 1), (" 3 ", 3 * 10**18)],
)
def test_an_amount_is_read_exactly(text: str, wei: int) -> None:
    assert wei_of(text) == wei


@pytest.mark.parametrize("text", ["", "x", "-1", "1.0000000000000000001", "1.5wei", "NaN", "inf", "1e30", "0x10"])
def test_a_wrong_amount_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        wei_of(text)


@given(st.integers(min_value=0, max_value=2**80 - 1))
def test_exact_wei_survive(wei: int) -> None:
    assert wei_of(f"{wei}wei") == wei


@pytest.mark.parametrize(
    ("wei", "shown"),
    [(0, "0"), (1, "<0.000001"), (10**12, "0.000001"), (10**18, "1"), (-(10**18), "-1"),
     (1234567 * 10**18, "1,234,567"),     (10**18 - 1, "0.999999")],
)  # fmt: skip
def test_amounts_are_shown_rounded_down(wei: int, shown: str) -> None:
    assert tokens(wei) == shown


@pytest.mark.parametrize(("text", "part"), [("1/1", (0, 1)), ("3/8", (2, 8)), ("8/8", (7, 8))])
def test_a_part_is_counted_from_one(text: str, part: tuple[int, int]) -> None:
    assert part_of(text) == part


@pytest.mark.parametrize("text", ["0/8", "9/8", "3", "3/", "a/b", "-1/2", "1/1/1"])
def test_a_wrong_part_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        part_of(text)


def test_times_are_utc() -> None:
    assert moment(1_700_000_000) == "2023-11-14 22:13:20 UTC"
    assert moment(None) == moment(0) == "-"


def test_a_report_goes_to_a_file_whole_and_readable(tmp_path: Path) -> None:
    file = tmp_path / "new" / "report.json"
    write_json(file, {"b_wei": 2**80, "a": None})
    assert json.loads(file.read_text()) == {"a": None, "b_wei": 2**80}
    assert stat.S_IMODE(file.stat().st_mode) & 0o600 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["report.json"]


def test_what_is_no_number_is_null_in_a_report(tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", {"loss": float("nan"), "rounds": [{"value": float("inf")}, (1.5,)]})
    text = (tmp_path / "report.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"loss": None, "rounds": [{"value": None}, [1.5]]}


def test_a_pipe_or_device_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_json(pipe, [1])
        assert json.loads(os.read(reader, 100)) == [1]
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_report_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    write_json(Path("-"), [1])
    assert json.loads(capsys.readouterr().out) == [1]
    write_json(None, [1])
    assert capsys.readouterr().out == ""


def options(folder: Path, file: Path | None = None) -> Options:
    """Return the options of a command in `folder`."""
    return Options(folder, "embedded", "", file)


def test_a_password_comes_from_file_then_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "p"
    file.write_text("from file\nmore")
    monkeypatch.setenv("FL_PLATFORM_PASSWORD", "from environment")
    assert password(options(tmp_path, file)) == "from file"
    assert password(options(tmp_path)) == "from environment"


def test_without_a_terminal_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FL_PLATFORM_PASSWORD", raising=False)
    with (tmp_path / "empty").open("w+") as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(WalletError, match="--password-file"):
            password(options(tmp_path))


def test_the_only_wallet_is_used_unless_one_is_named(tmp_path: Path) -> None:
    from fl_platform.chain import wallets

    with pytest.raises(WalletError, match="wallet new"):
        pick_wallet(options(tmp_path), None)
    one = wallets.create(tmp_path / "wallets", "one", "p", light=True)
    assert pick_wallet(options(tmp_path), None) == "one"
    assert address_of(options(tmp_path), "one") == one.address
    assert address_of(options(tmp_path), "0x" + one.address.hex().upper()) == one.address
    assert address_of(options(tmp_path), checksum_address(one.address)) == one.address
    wallets.create(tmp_path / "wallets", "two", "p", light=True)
    with pytest.raises(WalletError, match="one, two"):
        pick_wallet(options(tmp_path), None)
    assert pick_wallet(options(tmp_path), "two") == "two"
    with pytest.raises(WalletError, match="neither an address"):
        address_of(options(tmp_path), "three")
    with pytest.raises(WalletError):
        pick_wallet(options(tmp_path), "../../etc/passwd")


@pytest.mark.parametrize("patient", [True, False])
def test_who_must_not_miss_a_deadline_outlives_what_is_out_of_reach(patient: bool) -> None:
    asked: list[int] = []

    def look() -> bool:
        asked.append(len(asked))
        if len(asked) == 1:
            raise RpcUnavailable("the node restarts")
        return True

    if patient:
        wait_to_stop(look, every_s=0.01, patient=True)
        assert asked == [0, 1]
    else:
        with pytest.raises(RpcUnavailable):
            wait_to_stop(look, every_s=0.01)
