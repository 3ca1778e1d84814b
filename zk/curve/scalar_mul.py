"""One multiple of one point, as fast as this process can: by libmcl where it is installed, else by py_ecc.

Loading the library costs what thirty multiplications by py_ecc cost; so a process that needs a few never loads it, and
one that needs many has paid for it once over when it does. The results are the same. libmcl's multiplication is
constant time, py_ecc's is not: in neither case offer it to strangers as a service.
"""

from __future__ import annotations

import functools
import itertools

from zk.curve import bn254, mcl
from zk.curve.bn254 import INFINITY, ORDER, Point

FEW = 30  # multiplications by py_ecc, 4 ms each, before libmcl is loaded, 0.12 s
_done = itertools.count()


def multiply(point: Point, scalar: int) -> Point:
    """Multiply a valid point by any integer, reduced modulo the order."""
    reduced = scalar % ORDER
    if point.is_infinity or not reduced:
        return INFINITY
    is_loaded = mcl.bound.cache_info().currsize > 0
    library = _library() if is_loaded or next(_done) >= FEW else None
    return bn254.multiply(point, reduced) if library is None else library.multiply(point, reduced)


@functools.cache
def _library() -> mcl.Mcl | None:
    """Return the library, None where there is no build for this platform. Raises CurveEngineBroken."""
    try:
        return mcl.bound()
    except (ImportError, OSError):
        return None
