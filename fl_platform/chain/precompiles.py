"""py-evm's Shanghai rules, with BN254's multiples and pairings on libmcl where the extra `fast` is installed.

This is consensus code: gas, results and failures are those of py-evm's own precompiles 7 and 8. A pairing costs those a
quarter of a second, libmcl a millisecond. Sums (6) cost a tenth of a millisecond and stay py-evm's.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from eth.abc import ComputationAPI
from eth.exceptions import VMError
from eth.vm.forks.istanbul.constants import GAS_ECMUL, GAS_ECPAIRING_BASE, GAS_ECPAIRING_PER_POINT
from eth.vm.forks.shanghai import ShanghaiVM
from eth.vm.forks.shanghai.computation import ShanghaiComputation
from eth.vm.forks.shanghai.state import ShanghaiState
from eth_typing import Address

from fl_platform.errors import PointInvalid

if TYPE_CHECKING:
    from zk.curve import pairing  # here and below: most processes that open a chain meet neither precompile

_LOG = logging.getLogger(__name__)
ECMUL, ECPAIRING = (Address(number.to_bytes(20, "big")) for number in (7, 8))
PY_EVM: dict[Address, Callable[[ComputationAPI], Any]] = ShanghaiComputation.get_precompiles()


def ecmul(computation: ComputationAPI) -> ComputationAPI:
    """Run EIP-196's multiple of a point."""
    from zk.curve import pairing

    computation.consume_gas(GAS_ECMUL, reason="ECMUL Precompile")
    try:
        computation.output = pairing.multiple(computation.msg.data_as_bytes)
    except PointInvalid as error:
        raise VMError("Invalid ECMUL parameters") from error
    return computation


def ecpairing(computation: ComputationAPI) -> ComputationAPI:
    """Run EIP-197's check of a product of pairings."""
    library = _library()
    if library is None:
        own: ComputationAPI = PY_EVM[ECPAIRING](computation)
        return own
    from zk.curve import pairing

    data = computation.msg.data_as_bytes
    pairs, rest = divmod(len(data), pairing.PAIR_BYTES)
    if rest:
        raise VMError("Invalid ECPAIRING parameters")
    computation.consume_gas(GAS_ECPAIRING_BASE + pairs * GAS_ECPAIRING_PER_POINT, reason="ECPAIRING Precompile")
    try:
        computation.output = library.is_one(data).to_bytes(32, "big")
    except PointInvalid as error:
        raise VMError("Invalid ECPAIRING parameters") from error
    return computation


@functools.cache
def _library() -> pairing.Pairing | None:
    """Return the library, None where there is none. Raises CurveEngineBroken when it answers wrongly."""
    from zk.curve import pairing

    try:
        return pairing.load()
    except (ImportError, OSError) as error:
        _LOG.info("no libmcl here (%s): a pairing on the embedded chain takes a quarter of a second", error)
        return None


class _Computation(ShanghaiComputation):
    _precompiles = {**PY_EVM, ECMUL: ecmul, ECPAIRING: ecpairing}  # noqa: RUF012 (py-evm's own way)


class _State(ShanghaiState):
    computation_class = _Computation


class FastShanghaiVM(ShanghaiVM):
    """Shanghai, to the byte."""

    _state_class = _State
