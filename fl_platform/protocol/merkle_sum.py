"""Merkle-sum trees: one root that fixes n amounts and their total. Twin of `contracts/libraries/MerkleSum.sol`.

    leaf = keccak(0x00, index u32, owner address, amount u128, data bytes32)
    node = keccak(0x01, sumL u128, hashL bytes32, sumR u128, hashR bytes32)

Both children's sums stand inside the hash. The weaker node H(hashL, hashR, sumL + sumR) lets a prover move value
between the children of one node and so prove more than the total; the unit test of this module does it.
Depth is fixed by the count, missing leaves are (hash 0, sum 0), and index is inside the leaf: a leaf has one place.
Used for the roster (owner = trainer, amount = stake, data = receipt digest) and for claims (amount = wei earned so far,
data = reputation).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.keccak import keccak256

MAX_AMOUNT = 2**128 - 1
MAX_LEAVES = 2**20
EMPTY = bytes(32)


@dataclass(frozen=True)
class Leaf:
    """One entry of a tree."""

    owner: bytes  # 20-byte address
    amount: int  # wei, 0 <= amount < 2^128
    data: bytes  # 32 bytes


@dataclass(frozen=True)
class Node:
    """A subtree: its digest and the total of its amounts."""

    digest: bytes  # 32 bytes
    total: int  # wei


@dataclass(frozen=True)
class Proof:
    """What connects a leaf to a root: one sibling per level, leaf level first."""

    index: int
    siblings: tuple[Node, ...]


def depth_of(count: int) -> int:
    """Return the tree's depth for `count` leaves: ceil(log2(count)), 0 for one leaf."""
    if not 1 <= count <= MAX_LEAVES:
        raise DocumentInvalid(f"Merkle-sum tree: {count} leaves, allowed 1 to {MAX_LEAVES}")
    return (count - 1).bit_length()


def leaf_node(index: int, leaf: Leaf) -> Node:
    """Return the bottom node of `leaf` at position `index`. Raises DocumentInvalid on widths out of range."""
    if not 0 <= index < MAX_LEAVES or len(leaf.owner) != 20 or len(leaf.data) != 32:
        raise DocumentInvalid(f"Merkle-sum leaf {index}: owner must have 20 bytes, data 32, index < {MAX_LEAVES}")
    amount = _u128(leaf.amount)
    return Node(keccak256(b"\x00" + struct.pack(">I", index) + leaf.owner + amount + leaf.data), leaf.amount)


def join(left: Node, right: Node) -> Node:
    """Return the parent of two nodes; addition is checked against 2^128."""
    packed = b"\x01" + _u128(left.total) + left.digest + _u128(right.total) + right.digest
    total = left.total + right.total
    _u128(total)
    return Node(keccak256(packed), total)


def build(leaves: tuple[Leaf, ...]) -> Node:
    """Return the root of the tree over `leaves` (1 to 2^20 of them)."""
    return levels(leaves)[-1][0]


def prove(leaves: tuple[Leaf, ...], index: int) -> Proof:
    """Return the proof of leaf `index`. Raises DocumentInvalid when there is no such leaf."""
    if not 0 <= index < len(leaves):
        raise DocumentInvalid(f"Merkle-sum proof: no leaf {index} among {len(leaves)}")
    siblings = []
    position = index
    for level in levels(leaves)[:-1]:
        siblings.append(level[position ^ 1])
        position >>= 1
    return Proof(index, tuple(siblings))


def verify(root: Node, count: int, leaf: Leaf, proof: Proof) -> bool:
    """Say whether `leaf` stands at `proof.index` of the tree (root, count). The proof is unverified peer input."""
    if not 0 <= proof.index < count or len(proof.siblings) != depth_of(count):
        return False
    if not all(len(sibling.digest) == 32 and 0 <= sibling.total <= MAX_AMOUNT for sibling in proof.siblings):
        return False
    try:
        node = leaf_node(proof.index, leaf)
        position = proof.index
        for sibling in proof.siblings:
            node = join(sibling, node) if position & 1 else join(node, sibling)
            position >>= 1
    except DocumentInvalid:  # a sum over 2^128: the contract reverts there, too
        return False
    return node == root


def levels(leaves: tuple[Leaf, ...]) -> list[list[Node]]:
    """Return the nodes of the tree over `leaves`, from the bottom row up."""
    width = 1 << depth_of(len(leaves))
    level = [leaf_node(i, leaf) for i, leaf in enumerate(leaves)]
    level += [Node(EMPTY, 0)] * (width - len(leaves))
    found = [level]
    while len(level) > 1:
        level = [join(level[i], level[i + 1]) for i in range(0, len(level), 2)]
        found.append(level)
    return found


def _u128(value: int) -> bytes:
    if not 0 <= value <= MAX_AMOUNT:
        raise DocumentInvalid(f"Merkle-sum amount {value} is outside 0 .. 2^128-1")
    return value.to_bytes(16, "big")
