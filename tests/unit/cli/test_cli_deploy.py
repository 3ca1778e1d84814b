"""Deploying by command line: once, found again, and taken over by another party's folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.support.cli import CliInside


def deployed(folder: Path) -> CliInside:
    """Return a folder with contracts on the embedded chain."""
    cli = CliInside(folder)
    cli("wallet", "new", "--light", "owner")
    cli("deploy")
    return cli


def test_a_second_deploy_finds_the_first(tmp_path: Path) -> None:
    cli = deployed(tmp_path)
    first = json.loads((tmp_path / "w" / "deployments" / "embedded.json").read_text())
    again = cli.report("deploy")
    assert {name: at["address"] for name, at in again["contracts"].items()} == {
        name: at["address"] for name, at in first["contracts"].items()
    }
    assert set(again["contracts"]) >= {
        "Escrow",
        "TaskRegistry",
        "RoundLedger",
        "Settlement",
        "Reputation",
        "LedgerViews",
        "FaucetToken",
        "SettlementProofs",
    }


def test_an_older_deployment_file_reads_and_another_deploy_adds_what_it_lacks(tmp_path: Path) -> None:
    cli = deployed(tmp_path)
    value = json.loads((tmp_path / "w" / "deployments" / "embedded.json").read_text())
    whole = set(value["contracts"])
    del value["contracts"]["SettlementProofs"]
    older = tmp_path / "older.json"
    older.write_text(json.dumps(value))
    taken = cli.report("deploy", "--from", str(older))
    assert set(taken["contracts"]) == whole - {"SettlementProofs"}
    assert "no tasks on embedded" in cli("task", "list").stdout
    assert set(cli.report("deploy")["contracts"]) == whole


def test_another_party_takes_the_file_over(tmp_path: Path) -> None:
    deployed(tmp_path)
    other = CliInside(tmp_path / "other")
    other.folder.mkdir()
    shutil.copytree(tmp_path / "w" / "chain", other.folder / "w" / "chain")
    missing = other("task", "list", code=5)
    assert "fl-platform deploy" in missing.stderr
    given = tmp_path / "w" / "deployments" / "embedded.json"
    other("deploy", "--from", str(given))
    assert "no tasks on embedded" in other("task", "list").stdout


def test_a_file_of_another_chain_is_refused(tmp_path: Path) -> None:
    deployed(tmp_path)
    other = CliInside(tmp_path / "other")
    other.folder.mkdir()
    given = tmp_path / "w" / "deployments" / "embedded.json"
    refused = other("deploy", "--from", str(given), code=5)
    assert refused.stderr.count("error: the chain ends before the block of") == 1
    assert not (other.folder / "w" / "deployments").exists()


def test_a_wallet_knows_its_balance(tmp_path: Path) -> None:
    cli = deployed(tmp_path)
    cli("wallet", "fund", "owner", "--tokens", "1.5")
    shown = cli.report("wallet", "show", "owner", "--balance")
    assert shown["token_wei"] == 15 * 10**17
    assert shown["coin_wei"] > 0
    assert shown["party"].startswith(shown["address"] + ":0x")


def test_a_deleted_chain_is_deployed_to_anew_and_the_old_files_are_kept(tmp_path: Path) -> None:
    cli = deployed(tmp_path)
    cli("wallet", "fund", "owner", "--tokens", "5")
    shutil.rmtree(tmp_path / "w" / "chain")
    said = cli("task", "list", code=5).stderr
    assert "the chain ends before the block of" in said
    assert "`fl-platform deploy` starts anew" in said
    (aside,) = cli.report("deploy")["put_aside"]
    assert "no tasks on embedded" in cli("task", "list").stdout
    assert (Path(aside) / "deployments" / "embedded.json").is_file()
    assert (Path(aside) / "journal" / "embedded.owner").is_file()
    assert cli.report("wallet", "fund", "owner", "--tokens", "7")[0]["token_wei"] == 7 * 10**18
