"""The operations of cells on chain are those of Python, at every edge and at random."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings

from fl_platform.protocol.arithmetic import apply
from fl_platform.protocol.operations import PLAIN, Op, operands_of
from tests.support.contracts import World
from tests.support.evm import Contract, Reverted, account
from tests.support.operation_cells import EDGES, LEAST, MOST, questions

SOME = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def harness() -> Contract:
    """The library, on a chain of its own."""
    return World().evm.create(account("deployer").address, "OperationsHarness")


def on_chain(harness: Contract, op: Op, operands: tuple[int, ...]) -> int:
    """Return what the contract gives; operands that the operation has not are filled with what must not matter."""
    return int(harness.call("give", int(op), *operands, *(77,) * (3 - len(operands))))


@SOME
@given(questions())
def test_what_python_gives_the_contract_gives(harness: Contract, question: tuple[Op, tuple[int, ...]]) -> None:
    op, operands = question
    assert on_chain(harness, op, operands) == apply(op, *operands)


@pytest.mark.parametrize("op", sorted(PLAIN), ids=lambda op: op.name)
def test_at_the_edges(harness: Contract, op: Op) -> None:
    few = (0, 1, -1, 2**127, 2**254, MOST, LEAST)
    cells = EDGES if operands_of(op) < 3 else few
    for operands in itertools.islice(itertools.product(cells, repeat=operands_of(op)), 400):
        assert on_chain(harness, op, operands) == apply(op, *operands), operands


@pytest.mark.parametrize("op", sorted(set(range(256)) - PLAIN)[::17])
def test_any_other_number_is_refused(harness: Contract, op: int) -> None:
    with pytest.raises(Reverted, match=rf"Operations_Unknown\(op={op}\)"):
        harness.call("give", op, 1, 2, 3)
