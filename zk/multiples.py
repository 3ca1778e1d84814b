"""One multiple of one point, as fast as this process can: by libmcl where it is loaded anyway, else by py_ecc.

Loading the compiled library costs a second, thirty times what one multiplication by py_ecc costs; so who needs a single
multiple does not load it, and who commits to updates has it. The results are the same. libmcl's multiplication is
constant time, py_ecc's is not: in neither case offer it to strangers as a service.
"""

from __future__ import annotations

import sys

from zk import curve
from zk.curve import INFINITY, ORDER, Point

_LIBRARY = "zk.mcl"


def multiply(point: Point, scalar: int) -> Point:
    """Multiply a valid point by any integer, reduced modulo the order."""
    reduced = scalar % ORDER
    if point.is_infinity or not reduced:
        return INFINITY
    mcl = sys.modules.get(_LIBRARY)
    if mcl is None or not mcl.load.cache_info().currsize:
        return curve.multiply(point, reduced)
    library = mcl.load()
    words = mcl.points_from_bytes(curve.encode(point))[0]
    found: Point = library.to_point(library.multiply_secret(words, mcl.scalars_from_ints([reduced])[0]))
    return found
