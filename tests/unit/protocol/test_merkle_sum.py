"""Merkle-sum trees, against a recursive twin and against the weaker node that they must not be."""

import struct
from dataclasses import replace

import pytest
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.merkle_sum import Leaf, Node

leaves_strategy = st.lists(
    st.builds(Leaf, st.binary(min_size=20, max_size=20), st.integers(0, 2**100), st.binary(min_size=32, max_size=32)),
    min_size=1,
    max_size=19,
).map(tuple)


def slow_root(leaves: tuple[Leaf, ...], first: int, width: int) -> tuple[bytes, int]:
    """Recursive, straight from the formula in the issue."""
    if width == 1:
        if first >= len(leaves):
            return bytes(32), 0
        leaf = leaves[first]
        packed = b"\x00" + struct.pack(">I", first) + leaf.owner + leaf.amount.to_bytes(16, "big") + leaf.data
        return keccak(packed), leaf.amount
    left, left_sum = slow_root(leaves, first, width // 2)
    right, right_sum = slow_root(leaves, first + width // 2, width // 2)
    packed = b"\x01" + left_sum.to_bytes(16, "big") + left + right_sum.to_bytes(16, "big") + right
    return keccak(packed), left_sum + right_sum


@settings(max_examples=40, deadline=None)
@given(leaves_strategy)
def test_root_agrees_with_slow_twin_and_proofs_hold(leaves: tuple[Leaf, ...]) -> None:
    root = merkle_sum.build(leaves)
    width = 1
    while width < len(leaves):
        width *= 2
    assert (root.digest, root.total) == slow_root(leaves, 0, width)
    for index, leaf in enumerate(leaves):
        proof = merkle_sum.prove(leaves, index)
        assert merkle_sum.verify(root, len(leaves), leaf, proof)
        assert not merkle_sum.verify(root, len(leaves), replace(leaf, amount=leaf.amount + 1), proof)
        other = replace(proof, index=(index + 1) % max(2, len(leaves)))
        assert not merkle_sum.verify(root, len(leaves), leaf, other)


@settings(max_examples=40, deadline=None)
@given(leaves_strategy, st.integers(0, 18), st.integers(0, 4), st.integers(-(2**60), 2**60))
def test_value_cannot_move_between_siblings(leaves: tuple[Leaf, ...], index: int, level: int, shift: int) -> None:
    index %= len(leaves)
    proof = merkle_sum.prove(leaves, index)
    if not proof.siblings or shift == 0:
        return
    level %= len(proof.siblings)
    sibling = proof.siblings[level]
    if sibling.total - shift < 0 or leaves[index].amount + shift < 0:
        return
    siblings = list(proof.siblings)
    siblings[level] = Node(sibling.digest, sibling.total - shift)
    moved = replace(leaves[index], amount=leaves[index].amount + shift)
    root = merkle_sum.build(leaves)
    assert not merkle_sum.verify(root, len(leaves), moved, replace(proof, siblings=tuple(siblings)))


def test_weaker_node_is_broken() -> None:
    """With node = H(hashL, hashR, sumL + sumR) a prover moves value from its sibling to itself."""

    def weak_leaf(leaf: Leaf) -> bytes:
        return keccak(leaf.owner + leaf.data)  # the amount travels beside the hash, as in trees of that kind

    mine, other = Leaf(b"m" * 20, 10, bytes(32)), Leaf(b"o" * 20, 90, bytes(32))
    honest_root = keccak(weak_leaf(mine) + weak_leaf(other) + (10 + 90).to_bytes(16, "big"))
    stolen_root = keccak(weak_leaf(mine) + weak_leaf(other) + (95 + 5).to_bytes(16, "big"))
    assert honest_root == stolen_root  # the weak tree accepts 95 for me

    root = merkle_sum.build((mine, other))
    proof = merkle_sum.prove((mine, other), 0)
    forged = replace(proof, siblings=(Node(proof.siblings[0].digest, 5),))
    assert not merkle_sum.verify(root, 2, replace(mine, amount=95), forged)


def test_overflow_and_widths_are_refused() -> None:
    big = Leaf(bytes(20), merkle_sum.MAX_AMOUNT, bytes(32))
    with pytest.raises(DocumentInvalid, match="outside 0"):
        merkle_sum.build((big, replace(big, amount=1)))
    with pytest.raises(DocumentInvalid):
        merkle_sum.leaf_node(0, Leaf(bytes(19), 1, bytes(32)))
    with pytest.raises(DocumentInvalid, match="0 leaves"):
        merkle_sum.build(())
    assert not merkle_sum.verify(Node(bytes(32), 0), 1, big, merkle_sum.Proof(0, (Node(bytes(32), 0),)))
