"""Challenges depend on everything that came before, on its framing and on its place."""

from __future__ import annotations

import dataclasses

import pytest

from tests.support.commitments import binding
from zk.commitment.transcript import Transcript
from zk.curve.bn254 import ORDER


def challenge(*messages, protocol="test/1", place=None):
    transcript = Transcript(protocol, place or binding(1))
    for label, data in messages:
        transcript.absorb(label, data)
    return transcript.challenge("c")


def test_same_conversation_same_challenge():
    assert challenge(("a", b"1")) == challenge(("a", b"1"))
    assert 1 <= challenge() < ORDER


def test_framing_and_protocol_matter():
    found = [
        challenge(("a", b"bc")),
        challenge(("ab", b"c")),
        challenge(("a", b"b"), ("a", b"c")),
        challenge(("a", b"b"), ("", b"ac")),
        challenge(("a", b"bc"), protocol="test/2"),
    ]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "change",
    [{"chain_id": 1}, {"contract": b"\x0d" * 20}, {"task": 8}, {"round": 4}, {"party": bytes(20)}],
    ids=lambda change: next(iter(change)),
)
def test_every_field_of_the_place_matters(change):
    assert challenge(place=binding(1)) != challenge(place=binding(1, **change))


def test_challenges_follow_each_other():
    transcript = Transcript("test/1", binding(1))
    assert transcript.challenge("c") != transcript.challenge("c")


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": -1},
        {"chain_id": 2**256},
        {"task": 2**256},
        {"round": 2**64},
        {"contract": b""},
        {"party": b"1" * 21},
    ],
    ids=str,
)
def test_impossible_places(change):
    with pytest.raises(ValueError, match="binding"):
        dataclasses.replace(binding(1), **change).encode()


def test_signed_integers_differ():
    def one(value):
        transcript = Transcript("test/1", binding(1))
        transcript.absorb_int("n", value)
        return transcript.challenge("c")

    assert len({one(0), one(1), one(-1), one(2**255), one(-(2**255))}) == 5
