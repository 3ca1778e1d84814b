"""The tree over chunk points against a recursive twin, and its paths."""

from __future__ import annotations

import pytest
from eth_hash.auto import keccak

from zk.commitment import merkle


def slow_root(points):
    leaves = [keccak(b"\x00" + i.to_bytes(4, "big") + point) for i, point in enumerate(points)]
    while len(leaves) & (len(leaves) - 1):
        leaves.append(bytes(32))
    while len(leaves) > 1:
        leaves = [keccak(b"\x01" + leaves[i] + leaves[i + 1]) for i in range(0, len(leaves), 2)]
    return leaves[0]


def points_of(count):
    return [bytes([i % 256, i // 256]) * 32 for i in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 26, 33])
def test_root_and_every_path(count):
    points = points_of(count)
    joined = b"".join(points)
    assert merkle.root(joined) == slow_root(points)
    for i, point in enumerate(points):
        siblings = merkle.path(joined, i)
        assert len(siblings) == merkle.depth_of(count)
        assert merkle.root_from_path(point, i, siblings) == merkle.root(joined)
        assert merkle.root_from_path(point, i ^ 1, siblings) != merkle.root(joined)
        assert merkle.root_from_path(point[::-1] + b"", i, siblings) != merkle.root(joined) or point == point[::-1]


def test_order_and_content_matter():
    points = points_of(3)
    roots = {merkle.root(b"".join(order)) for order in (points, points[::-1], points[:2], [*points, bytes(64)])}
    assert len(roots) == 4


@pytest.mark.parametrize("bad", [b"", bytes(63), bytes(65)])
def test_bytes_that_are_no_points(bad):
    with pytest.raises(ValueError, match="no list"):
        merkle.root(bad)


@pytest.mark.parametrize("index", [-1, 3])
def test_no_such_chunk(index):
    with pytest.raises(ValueError, match="no chunk"):
        merkle.path(b"".join(points_of(3)), index)
