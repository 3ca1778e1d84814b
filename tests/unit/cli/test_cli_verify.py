"""`prove` and `verify` as people misuse them: proof files of anybody's making, wrong files, wrong options."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import CliInside
from tests.support.own_keys import own_key
from tests.support.settlements import proof_file
from zk.curve.bn254 import FIELD, ORDER

Body = dict[str, Any]


@pytest.fixture
def cli(tmp_path: Path) -> CliInside:
    return CliInside(tmp_path)


def body() -> Body:
    value: Body = json.loads(proof_file().to_bytes())
    return value


def written(cli: CliInside, value: Body | bytes) -> str:
    path = cli.folder / "proof.json"
    path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return str(path)


def test_a_proof_file_alone(cli: CliInside) -> None:
    found = cli.report("verify", "--proof", written(cli, body()), code=3)
    assert (found["ok"], found["exit_code"]) == (True, 3)
    assert [line["result"] for line in found["lines"]] == ["equal", "not checked", "not checked"]
    assert all(line["why"] for line in found["lines"][1:])


def claims(value: Body) -> list[str]:
    values: list[str] = value["settlement"]["values"]
    return values


def raise_claim(value: Body) -> None:
    claims(value)[1] = str(int(claims(value)[1]) + 1)


def alias(value: Body) -> None:
    claims(value)[1] = str(int(claims(value)[1]) + ORDER)


def swap_claimant(value: Body) -> None:
    value["claimant"] = "0x" + "ab" * 20


def flip(value: Body) -> None:
    point = value["settlement"]["proof"]["pi_c"]
    point[1] = str(FIELD - int(point[1]))


def off_curve(value: Body) -> None:
    point = value["settlement"]["proof"]["pi_a"]
    point[0] = str(int(point[0]) ^ 1)


def zero(value: Body) -> None:
    value["settlement"]["proof"]["pi_a"] = ["0", "0", "1"]


def infinity(value: Body) -> None:
    value["settlement"]["proof"]["pi_a"] = ["0", "1", "0"]


def other_key(value: Body) -> None:
    value["key"] = own_key().to_bytes().hex()


def no_key(value: Body) -> None:
    value["key"] = "00" * 32


def infinite_key(value: Body) -> None:
    value["key"] = "00" * 64 + value["key"][128:]


def real_network(value: Body) -> None:
    value["chain_id"] = "1"


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (raise_claim, 4, "DIFFERENCE"), (swap_claimant, 4, "DIFFERENCE"), (flip, 4, "DIFFERENCE"),
        (other_key, 4, "DIFFERENCE"),
        (alias, 7, "alias"), (off_curve, 7, "not on the curve"), (zero, 7, "infinity"),
        (infinity, 7, "infinity"), (no_key, 7, "a verifying key has"), (infinite_key, 7, "infinity"),
        (real_network, 7, "this is a development key"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_a_changed_proof_file(cli: CliInside, change: Callable[[Body], None], code: int, says: str) -> None:
    value = body()
    change(value)
    done = cli("verify", "--proof", written(cli, value), code=code)
    assert says in done.stdout + done.stderr
    assert done.stderr.count("error: ") == int(code == 7)


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"", "not JSON"), (b"{}", "no proof file"), (b" " * 70_000, "limit 65536"), (b"[" * 999, "nested deeper")],
    ids=["empty", "object", "long", "deep"],
)
def test_what_is_no_proof_file(cli: CliInside, data: bytes, says: str) -> None:
    assert says in cli("verify", "--proof", written(cli, data), code=7).stderr


@pytest.mark.parametrize(
    "words",
    [(), ("1", "--bundle", "FILE", "--spec", "FILE"), ("--bundle", "FILE"), ("--spec", "FILE", "--proof", "FILE"),
     ("1", "--sums", "FILE"), ("--proof", "no-such-file"), ("0",), ("1", "-1")],
    ids=" ".join,
)  # fmt: skip
def test_a_wrong_call_is_a_usage_error(cli: CliInside, words: tuple[str, ...]) -> None:
    file = written(cli, body())
    cli("verify", *(file if word == "FILE" else word for word in words), code=2)


def test_files_that_are_no_rules_and_no_bundle(cli: CliInside) -> None:
    file = written(cli, body())
    assert "error: " in cli("verify", "--bundle", file, "--spec", file, code=7).stderr
    assert "error: " in cli("verify", "--bundle", file, "--spec", file, "--models", str(cli.folder), code=5).stderr


def test_nothing_is_sealed_and_nothing_is_deployed(cli: CliInside) -> None:
    cli("wallet", "new", "--light", "owner")
    cli("deploy")
    assert "there is no task 1" in cli("prove", "1", code=5).stderr
    assert "there is no task 1" in cli("verify", "1", code=5).stderr
    cli("wallet", "fund", "owner", "--tokens", "100")
    cli(
        "task", "open", "--trainers", "2", "--rounds", "1", "--pot", "10", "--epochs", "1", "--worth", "equal",
        "--aggregator", "owner", "--windows", "minutes",
    )  # fmt: skip
    assert "no sealed round" in cli("prove", "1", code=5).stderr
    assert "round 0 is not sealed" in cli("prove", "1", "0", code=5).stderr
    assert "round 0 is not sealed" in cli("verify", "1", "0", code=5).stderr
    assert "--claimant is for somebody else" in cli("prove", "1", "--submit", "--claimant", "owner", code=2).stderr
    assert "--from goes with --submit" in cli("prove", "1", "--from", written(cli, body()), code=2).stderr
    file = cli.folder / "w" / "deployments" / "embedded.json"
    value = json.loads(file.read_text())
    value["contracts"] = {name: at for name, at in value["contracts"].items() if name != "SettlementProofs"}
    file.write_text(json.dumps(value))
    assert "has no settlement proofs: run `fl-platform deploy` again" in cli("prove", "1", code=5).stderr
    cli("deploy")
    assert "SettlementProofs" in json.loads(file.read_text())["contracts"]
