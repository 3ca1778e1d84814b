"""A record holds the names of the table and nothing that a peer could do harm with."""

from __future__ import annotations

import pytest

from fl_platform.sinks.names import AGGREGATOR, TRAINER
from fl_platform.sinks.record import MAX_LABEL, MAX_TEXT, Record, label, labelled
from tests.support.records import sealed


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("NotSelected", "NotSelected"),
        ("0x" + "ab" * 20, "0x" + "ab" * 20),
        ('"} 1\nfl_platform_in_sum{x="', "???1?fl_platform_in_sum?x??"),
        ("../../etc", "..?..?etc"),
        ("\x1b[31mred", "??31mred"),
        ("", "?"),
        ("a" * 10_000, "a" * MAX_LABEL),
    ],
)
def test_a_peer_s_text_becomes_a_harmless_label(text: str, made: str) -> None:
    assert label(text) == made
    assert Record(AGGREGATOR, 1, 0, {labelled("refused", text): 1}).values == {f"refused[{made}]": 1}


@pytest.mark.parametrize(
    ("role", "values"),
    [
        (TRAINER, {"bogus": 1}),
        (TRAINER, {"rows[x]": 1}),
        (TRAINER, {"in_sum": 1}),
        (AGGREGATOR, {"refused": 1}),
        (AGGREGATOR, {"refused[a b]": 1}),
        (AGGREGATOR, {"in_sum": "many"}),
        (AGGREGATOR, {"model": 1}),
    ],
)
def test_a_value_outside_the_table_is_a_mistake_of_ours(role: str, values: dict[str, float | str]) -> None:
    with pytest.raises(ValueError):
        Record(role, 1, 0, values)


def test_texts_are_cut_and_printable_and_the_party_is_a_label() -> None:
    record = Record(AGGREGATOR, 1, 0, {"model": "\x1b[2J" + "x" * 1_000}, who="al ice\n")
    assert record.values["model"] == "?[2J" + "x" * (MAX_TEXT - 4)
    assert record.who == "al?ice?"


def test_keys_come_apart() -> None:
    found = {named.path: named.value for named in sealed()}
    assert found["refused/NotSelected"] == 1
    assert found["in_sum"] == 6
    assert found["worth_measured"] == 1
    assert found["model"] == "0x" + "cd" * 32
