"""No honest seal can be refuted: random federations judged by the product, held against the ledger's own views.

A round that falls here costs an honest aggregator its bond there.
"""

from __future__ import annotations

import pytest

from tests.support.honest_rounds import Found, main, play

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))]


@pytest.mark.parametrize("seed", SEEDS)
def test_no_source_and_no_output_of_an_honest_seal_is_refuted(seed: int) -> None:
    found = Found()
    play(seed, found, most=2, claims=None)
    assert found.rounds
    assert not found.faults


@pytest.mark.slow
def test_random_honest_rounds_stand(capsys: pytest.CaptureFixture[str]) -> None:
    """What `make fuzz` runs, for 200 rounds: a failure prints the seed that shows it again."""
    assert main(["--rounds", "200", "--seed", "1"]) == 0, capsys.readouterr().out
    assert "200 honest rounds, 600 claims on chain, 0 refuted or differ" in capsys.readouterr().out
