"""Solidity and Python compute the same: Merkle-sum trees, receipts, signatures. And the weak node is broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_keys.constants import SECPK1_N
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fl_platform.errors import ReceiptSignatureInvalid
from fl_platform.protocol import merkle_sum
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.merkle_sum import Leaf, Node
from fl_platform.protocol.receipt import Receipt, recover, sign_digest
from tests.contracts.conftest import Reverts
from tests.support.contracts import ChainLeaf, Run, Tree, World, digest, path_of
from tests.support.evm import Contract, Reverted, account

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
u128 = st.integers(0, 2**128 - 1)
word = st.binary(min_size=32, max_size=32)
owner = st.binary(min_size=20, max_size=20)


@pytest.fixture(scope="module")
def harness() -> Contract:
    """The libraries, on a chain of their own."""
    world = World()
    return world.evm.create(account("deployer").address, "LibraryHarness")


@FEW
@given(index=st.integers(0, 2**20 - 1), leaf=st.builds(Leaf, owner, u128, word))
def test_leaf_hash(harness: Contract, index: int, leaf: Leaf) -> None:
    expected = merkle_sum.leaf_node(index, leaf).digest
    assert harness.call("leafHash", index, leaf.owner, leaf.amount, leaf.data) == expected


@FEW
@given(left=st.builds(Node, word, st.integers(0, 2**127 - 1)), right=st.builds(Node, word, st.integers(0, 2**127 - 1)))
def test_node_hash(harness: Contract, left: Node, right: Node) -> None:
    expected = merkle_sum.join(left, right).digest
    assert harness.call("nodeHash", left.total, left.digest, right.total, right.digest) == expected


def test_depth(harness: Contract, reverts: Reverts) -> None:
    for count in (1, 2, 3, 4, 5, 8, 9, 255, 256, 257, 2**20 - 1, 2**20):
        assert harness.call("depthOf", count) == merkle_sum.depth_of(count)
    for count in (0, 2**20 + 1):
        with reverts("MerkleSum_CountOutOfBounds", count, 2**20):
            harness.call("depthOf", count)


def check(harness: Contract, root: Node, count: int, leaf: ChainLeaf, path: bytes) -> bool:
    """Ask the contract whether a leaf is in a tree."""
    try:
        harness.call("requireLeaf", root.digest, root.total, count, leaf, path)
    except Reverted:
        return False
    return True


@FEW
@given(data=st.data(), count=st.integers(1, 20))
def test_both_accept_the_same_proofs(harness: Contract, data: st.DataObject, count: int) -> None:
    leaves = tuple(data.draw(st.builds(Leaf, owner, st.integers(0, 2**120), word)) for _ in range(count))
    tree, index = Tree(leaves), data.draw(st.integers(0, count - 1))
    assert check(harness, tree.root, count, tree.leaf(index), tree.path(index))
    path = bytearray(tree.path(index))
    if path:
        path[data.draw(st.integers(0, len(path) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        assert not check(harness, tree.root, count, tree.leaf(index), bytes(path))
    root = tree.root
    assert not check(harness, Node(root.digest, root.total + 1), count, tree.leaf(index), tree.path(index))
    other = data.draw(st.integers(0, count + 3))
    moved = replace(tree.leaf(index), index=other)
    proof = merkle_sum.prove(leaves, index)
    expected = merkle_sum.verify(root, count, leaves[index], replace(proof, index=other))
    assert check(harness, root, count, moved, path_of(proof)) == expected == (other == index)


def test_malformed_proofs_name_their_fault(harness: Contract, reverts: Reverts) -> None:
    tree = Tree(tuple(Leaf(bytes([i]) * 20, i, bytes(32)) for i in range(1, 6)))
    root, leaf, path = tree.root, tree.leaf(2), tree.path(2)
    arguments = (root.digest, root.total, 5)
    with reverts("MerkleSum_IndexOutOfBounds", 5, 5):
        harness.call("requireLeaf", *arguments, replace(leaf, index=5), path)
    for wrong in (path[:-1], path + b"\0", path[:96], path + path[:48], b""):
        with reverts("MerkleSum_PathLength", len(wrong), 144):
            harness.call("requireLeaf", *arguments, leaf, wrong)
    with reverts("MerkleSum_CountOutOfBounds", 2**20 + 1, 2**20):
        harness.call("requireLeaf", root.digest, root.total, 2**20 + 1, leaf, path)
    with reverts("MerkleSum_NotInTree", root.digest, digest(1), root.total, root.total):
        harness.call("requireLeaf", digest(1), root.total, 5, leaf, path)
    with reverts("MerkleSum_NotInTree", root.digest, root.digest, root.total, root.total - 1):
        harness.call("requireLeaf", root.digest, root.total - 1, 5, leaf, path)
    huge = replace(leaf, amount=2**128 - 1)
    first = int.from_bytes(path[:16], "big")
    with reverts("MerkleSum_SumOverflow", 2**128 - 1, first):
        harness.call("requireLeaf", *arguments, huge, path)


def test_an_inner_node_does_not_pass_for_a_leaf(harness: Contract) -> None:
    """Tags and lengths differ: a leaf's preimage has 73 bytes, a node's 97."""
    tree = Tree(tuple(Leaf(bytes([i]) * 20, i, bytes(32)) for i in range(1, 5)))
    half = merkle_sum.build(tree.leaves[:2])
    forged = ChainLeaf(0, half.digest[:20], half.total, half.digest)
    proof = merkle_sum.prove(tree.leaves, 0)
    assert not check(harness, tree.root, 2, forged, path_of(replace(proof, siblings=proof.siblings[1:])))


def test_the_weak_node_lets_two_leaves_claim_more_than_the_total(harness: Contract) -> None:
    """H(hashL, hashR, sumL + sumR): a prover states any split of the sum between the two children."""

    def weak(left: bytes, right: bytes, total: int) -> bytes:
        return keccak256(left + right + total.to_bytes(32, "big"))

    left, right = (keccak256(name) for name in (b"mine", b"also mine"))
    root = weak(left, right, 100)
    assert harness.call("weakVerify", root, 100, 0, left, 100, [0], [right])
    assert harness.call("weakVerify", root, 100, 1, right, 100, [0], [left])  # together 200 of 100
    honest = [Leaf(b"\1" * 20, 50, bytes(32)), Leaf(b"\2" * 20, 50, bytes(32))]
    tree = Tree(tuple(honest))
    for index in range(2):
        greedy = replace(tree.leaf(index), amount=100)
        path = bytes(16) + tree.path(index)[16:]
        assert not check(harness, tree.root, 2, greedy, path)


receipts = st.builds(
    Receipt,
    st.integers(0, 2**256 - 1), *(st.integers(0, 2**64 - 1),) * 3, owner, word, word, st.integers(0, 2**64 - 1),
    word, word, word, word, st.integers(0, 2**64 - 1), word, word,
)  # fmt: skip


@FEW
@given(receipt=receipts)
def test_receipt_hash(harness: Contract, receipt: Receipt) -> None:
    assert harness.call("receiptHash", receipt) == receipt.struct_hash()


def test_receipt_digest_binds_chain_and_contract(world: World) -> None:
    run = Run.start(world)
    receipt = run.receipt(run.trainers[0])
    assert world.views.call("receiptDigest", receipt) == receipt.digest(world.domain)
    elsewhere = world.evm.create(account("deployer").address, "LedgerOracle", b"\1" * 20)
    assert elsewhere.call("receiptDigest", receipt) != receipt.digest(world.domain)


def malleable(signature: bytes) -> dict[str, bytes]:
    """Every other spelling of one signature that somebody once accepted."""
    r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64]
    flipped = (SECPK1_N - s).to_bytes(32, "big")
    compact = ((v - 27) << 255 | s).to_bytes(32, "big")
    return {
        "high s": r + flipped + bytes([55 - v]),
        "high s, same v": r + flipped + bytes([v]),
        "v as 0 or 1": signature[:64] + bytes([v - 27]),
        "other v": signature[:64] + bytes([55 - v]),
        "v 29": signature[:64] + b"\x1d",
        "v with chain id": signature[:64] + bytes([37]),
        "64 bytes": signature[:64],
        "EIP-2098 compact": r + compact,
        "66 bytes": signature + b"\0",
        "empty": b"",
        "zeros": bytes(65),
        "zero r": bytes(32) + signature[32:],
        "zero s": r + bytes(32) + signature[64:],
        "r is the order": SECPK1_N.to_bytes(32, "big") + signature[32:],
    }


@pytest.mark.parametrize("name", sorted(malleable(bytes(64) + b"\x1b")))
def test_both_refuse_the_same_signatures(harness: Contract, name: str) -> None:
    signer = account("signer")
    message = keccak256(b"message")
    signature = sign_digest(message, signer.key)
    assert harness.call("recover", message, signature) == signer.address == recover(message, signature)
    other = malleable(signature)[name]
    theirs = harness.call("recover", message, other)
    assert theirs != signer.address
    try:
        ours = recover(message, other)
    except ReceiptSignatureInvalid:
        ours = bytes(20)
    assert ours == theirs


@FEW
@given(position=st.integers(0, 64), bit=st.integers(0, 7), message=word)
def test_flipped_signatures_recover_alike(harness: Contract, position: int, bit: int, message: bytes) -> None:
    signature = bytearray(sign_digest(message, account("signer").key))
    signature[position] ^= 1 << bit
    theirs: Any = harness.call("recover", message, bytes(signature))
    try:
        ours = recover(message, bytes(signature))
    except ReceiptSignatureInvalid:
        ours = bytes(20)
    assert theirs == ours != account("signer").address
