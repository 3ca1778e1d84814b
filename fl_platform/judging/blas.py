"""One thread for the small products of this room; what else runs in the process keeps its threads."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from typing import Any

import numpy as np  # noqa: F401  its BLAS is found only once it is loaded
from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[Any]:
    """Take products on one thread inside this context (10 us): a thousand columns are too few to share.

    A second thread made the inner products of a hundred updates cost a multiple of the CPU, and no less time.
    """
    limit: AbstractContextManager[Any] = _controller().limit(limits=1)
    return limit


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")
