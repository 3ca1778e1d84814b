"""A sealer shows what lies below any node of the tree over its sums, and nothing else in its place (A08)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fl_platform.chain import evidence
from fl_platform.chain.records import ContentLeafRecord
from fl_platform.protocol.trace import Kind
from fl_platform.updates.content import SUM_BITS, is_in_tree, is_leaf, leaf_count, open_content, open_subtree, place_of
from tests.support.disputes import Stage
from tests.support.evm import Outcome, Reverted, account
from tests.support.work import big_round, big_spec

SUMS = 3
SHAPES = {"one leaf": (5,), "two levels": (3, 100), "nine levels": (180, 200)}
NOTHING = ContentLeafRecord(bytes(32), b"", ())


class Shown:
    """A sealed round of some size, and its sums' tree."""

    def __init__(self, name: str) -> None:
        made = big_round(big_spec(SHAPES[name], offsets=(0,)))
        self.stage = Stage.start(made)
        self.payload = self.stage.seal(made).sums.astype("<i8").tobytes()
        self.size = made.spec.model.size

    def demand(self, node: int) -> int:
        stage = self.stage
        done = stage.world.demands.send(
            account("challenger"), "demand", stage.run.task, 0, stage.record(0), SUMS, node
        )
        return int(done.output[0])

    def below(self, node: int) -> tuple[tuple[bytes, ...], ContentLeafRecord]:
        if not is_in_tree(node, self.size):
            return (), NOTHING
        if is_leaf(node, self.size):
            leaf = open_content(self.payload, place_of(node), size=self.size, bits=64, key=None)
            return (), ContentLeafRecord(leaf.blind, leaf.body, leaf.path)
        found = open_subtree(self.payload, node, size=self.size, bits=SUM_BITS)
        return found.nodes, ContentLeafRecord(bytes(32), b"", found.path)

    def answer(self, number: int, nodes: tuple[bytes, ...], leaf: ContentLeafRecord) -> Outcome:
        trace = self.stage.traces[0]
        openings = (evidence.opened(trace, Kind.RULES, 0), evidence.opened(trace, Kind.WORK, 0))
        return self.stage.world.demands.send(
            account("anyone"), "answerSums", number, self.stage.record(0), trace.header.counts, trace.header.roots,
            openings, nodes, leaf,
        )  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_every_node_there_is_can_be_shown(name: str) -> None:
    shown = Shown(name)
    depth = max(leaf_count(shown.size) - 1, 0).bit_length()
    last = (1 << depth) + leaf_count(shown.size) - 1
    for node in {1, 2, 3, 5, 1 << max(depth - 1, 0), 1 << depth, last, last >> 1}:
        if is_in_tree(node, shown.size):
            nodes, leaf = shown.below(node)
            assert is_leaf(node, shown.size) or len(nodes) == 1 << min(7, depth + 1 - node.bit_length())
            shown.answer(shown.demand(node), nodes, leaf)
    for node in (0, last + 1, 2 * last, 2**32 - 1):  # nonsense is answered by saying so
        assert node == last + 1 or not is_in_tree(node, shown.size)
        if not is_in_tree(node, shown.size):
            shown.answer(shown.demand(node), (), NOTHING)


def test_other_nodes_and_leaves_are_no_answer() -> None:
    shown = Shown("nine levels")
    for node in (1, 3, 5, (1 << 9) + 7):
        number, (nodes, leaf) = shown.demand(node), shown.below(node)
        bad: list[tuple[tuple[bytes, ...], ContentLeafRecord]] = [
            ((), NOTHING), ((*nodes, bytes(32)), leaf), (nodes, replace(leaf, siblings=(*leaf.siblings, bytes(32)))),
        ]  # fmt: skip
        if nodes:
            bad += [((bytes(32), *nodes[1:]), leaf), (nodes[:-1], leaf), (nodes[::-1], leaf)]
        else:
            body = bytearray(leaf.body)
            body[3] ^= 1
            blind = np.random.default_rng(1).bytes(32)
            bad += [
                ((), replace(leaf, body=bytes(body))), ((), replace(leaf, body=leaf.body[:-8])),
                ((), replace(leaf, blind=blind)), ((bytes(32),), leaf),
            ]  # fmt: skip
        if leaf.siblings:
            bad.append((nodes, replace(leaf, siblings=(bytes(32), *leaf.siblings[1:]))))
        for wrong_nodes, wrong_leaf in bad:
            with pytest.raises(Reverted, match="Contents_Leaf"):
                shown.answer(number, wrong_nodes, wrong_leaf)
        shown.answer(number, nodes, leaf)
