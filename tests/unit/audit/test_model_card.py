"""The page beside a model: true, complete, and harmless whatever others wrote."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from fl_platform.audit.model_card import LISTED, escaped, model_card
from fl_platform.audit.releasing import Part, Release, release
from fl_platform.chain.addresses import checksum_address
from fl_platform.chain.types import RoundState
from tests.unit.audit.conftest import Settled

HOSTILE = "x\n# Injected <script>alert(1)</script> [click](http://evil) | cell | ![i](http://evil/p.png) `code` \u202e"


@pytest.fixture
def found(settled: Settled) -> Release:
    return release(settled.reader(), now=settled.workspace.chain.now())


def test_a_card_says_what_it_is_who_took_part_and_how_to_check(found: Release) -> None:
    card = model_card(found, file="model.safetensors", network="embedded")
    for wanted in (
        f"task {found.task}, round 1 of rounds 0 to 1", found.sha256.hex(), found.root.hex(), found.bundle.hex(),
        checksum_address(found.ledger), found.spec.digest.hex(), str(found.cid), f"chain {found.chain_id}",
        f"fl-platform audit {found.task}", "4,810 parameters in 4 tensors", "the same bytes for everybody",
        "reestimate_statistics",
        *(checksum_address(part.address) for part in found.parts),
    ):  # fmt: skip
        assert wanted in card
    assert f"{len(found.parts)} trainers; {sum(part.in_sum for part in found.parts)} updates are in the sums" in card


def test_a_card_says_whether_the_round_can_still_fall(found: Release) -> None:
    said = {
        state: model_card(replace(found, state=state), file="m", network="embedded")
        for state in (RoundState.SEALED, RoundState.CHALLENGED, RoundState.FINAL)
    }
    assert "**not final**: it can be challenged, and may be voided, until" in said[RoundState.SEALED]
    assert "**challenged**" in said[RoundState.CHALLENGED]
    assert "final since" in said[RoundState.FINAL]
    assert "**not final**" not in said[RoundState.FINAL]


def test_what_others_wrote_adds_no_heading_tag_link_or_cell(found: Release) -> None:
    quiet = model_card(found, file="m", network="embedded")
    parts = (Part(bytes(20), 0, {HOSTILE: 1}),)
    spec = replace(found.spec, title=HOSTILE, model=replace(found.spec.model, name=HOSTILE))
    loud = model_card(replace(found, spec=spec, parts=parts), file=HOSTILE, network=HOSTILE)
    plain = re.sub(r"\\[!-/:-@\[-`{-~]", "", loud)  # what Markdown shows as it stands
    assert not re.search(r"<|\]\(|!\[|http://", plain)
    assert "\u202e" not in loud
    assert [line[:2] for line in loud.splitlines() if line.startswith("#")] == [
        line[:2] for line in quiet.splitlines() if line.startswith("#")
    ]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in loud.splitlines() if line.startswith("| ")} == {3, 4}


def test_texts_of_others_are_cut() -> None:
    assert len(escaped("a" * 10_000)) == 200
    assert escaped("a*b_c") == r"a\*b\_c"
    assert escaped("Pomme d’été") == "Pomme d’été"


def test_a_long_list_of_trainers_is_cut(found: Release) -> None:
    parts = tuple(Part(bytes([number % 256] * 20), 1, {}) for number in range(LISTED + 5))
    card = model_card(replace(found, parts=parts), file="m", network="embedded")
    assert len(re.findall(r"^\| `0x", card, re.MULTILINE)) == LISTED
    assert "and 5 more." in card
