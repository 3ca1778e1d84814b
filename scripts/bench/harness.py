"""What every benchmark shares: the row it reports, a paired CPU clock and the machine's description.

A benchmark is one module `scripts/bench/NAME.py` with a one-line docstring and

    def run(args: argparse.Namespace) -> Iterator[Row]

which yields each row as soon as it is known: it is written at once, so that a run that is cut off keeps it. It may also
define `add_arguments(parser)` for options of its own; `--quick` is there for all. Each row stands beside the reference
that was measured in the same run, on the same machine, so that a ratio means something on hardware nobody has seen;
what is not known is None and becomes null in the JSON.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib.metadata
import os
import platform
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

Parts = Mapping[str, tuple[tuple[Any, str], ...]]  # part -> (owner, name) of its functions
PACKAGES = ("numpy", "torch", "flwr", "web3", "cryptography", "py-ecc")


@dataclass(frozen=True)
class Row:
    """One measured figure, what it was measured against in the same run, and the bar it must clear.

    `ratio` is value / reference_value unless the benchmark's docstring says otherwise; `bar` is the limit as words
    (">= 0.7"); `holds` is None where no bar is set.
    """

    case: str
    value: float | int | None
    unit: str | None = None
    reference: str | None = None  # what reference_value is a measurement of
    reference_value: float | int | None = None  # same unit as value
    ratio: float | None = None
    bar: str | None = None
    holds: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row as the JSON object that `benchmark.py --json` writes."""
        return asdict(self)


class Benchmark(Protocol):
    """A module under scripts/bench."""

    def run(self, args: argparse.Namespace) -> Iterator[Row]:
        """Measure and yield the rows."""


@dataclass(frozen=True)
class PairedTime:
    """Best CPU seconds of two functions that ran in turn."""

    value: float  # seconds
    reference: float  # seconds

    @property
    def speed_ratio(self) -> float:
        """Speed of the first over speed of the second: above 1 means the first is faster."""
        return self.reference / self.value


def cpu_seconds(function: Callable[[], object]) -> float:
    """Return the CPU seconds (all threads of this process) that one call takes; the collector is held off."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        function()
        return time.process_time() - start
    finally:
        if was_enabled:
            gc.enable()


def cpu_time(function: Callable[[], object], *, repeats: int = 5) -> float:
    """Return the best of `repeats` CPU times, in seconds: noise only ever adds."""
    return min(cpu_seconds(function) for _ in range(repeats))


def paired_cpu_time(function: Callable[[], object], reference: Callable[[], object], *, repeats: int = 5) -> PairedTime:
    """Time both in turn, so that a machine that slows down slows both, and keep the best of each.

    Both run once unmeasured first: caches, lazy imports and page faults belong to neither.
    """
    function()
    reference()
    ours: list[float] = []
    theirs: list[float] = []
    for index in range(repeats):
        # the order alternates: whoever runs second finds a warmer cache
        if index % 2 == 0:
            ours.append(cpu_seconds(function))
            theirs.append(cpu_seconds(reference))
        else:
            theirs.append(cpu_seconds(reference))
            ours.append(cpu_seconds(function))
    return PairedTime(value=min(ours), reference=min(theirs))


def cpu_by_part(function: Callable[[], object], parts: Parts) -> dict[str, float]:
    """Run once; return CPU seconds by part, what is in no part as "rest", and the whole as "all".

    A part is the time inside its functions (an owner and a name each), less that of other parts inside them.
    """
    seconds: dict[str, float] = defaultdict(float)
    inside: list[float] = []  # of each part that is running: seconds of the parts inside it

    def booked(part: str, called: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(called)
        def call(*args: Any, **fields: Any) -> Any:
            inside.append(0.0)
            start = time.process_time()
            try:
                return called(*args, **fields)
            finally:
                whole = time.process_time() - start
                seconds[part] += whole - inside.pop()
                if inside:
                    inside[-1] += whole

        return call

    with ExitStack() as patches:
        for part, places in parts.items():
            for owner, name in places:
                patches.enter_context(mock.patch.object(owner, name, booked(part, getattr(owner, name))))
        whole = cpu_seconds(function)
    return {**seconds, "rest": whole - sum(seconds.values()), "all": whole}


def peak_memory_bytes() -> int:
    """Return this process's peak resident memory so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def at_least(case: str, value: float, bar: float, **fields: Any) -> Row:
    """Return a row whose figure must not be below `bar`; the ratio is judged where there is one."""
    judged = fields.get("ratio")
    judged = value if judged is None else judged
    return Row(case=case, value=value, bar=f">= {bar:g}", holds=bool(judged >= bar), **fields)


def at_most(case: str, value: float, bar: float, **fields: Any) -> Row:
    """Return a row whose figure must not be above `bar`; the ratio is judged where there is one."""
    judged = fields.get("ratio")
    judged = value if judged is None else judged
    return Row(case=case, value=value, bar=f"<= {bar:g}", holds=bool(judged <= bar), **fields)


def _cpu_model() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        return None
    return None


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> Mapping[str, Any]:
    """Describe the machine well enough to read the figures: processor, cores, Python, packages. No names, no paths."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _cpu_model(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "python": platform.python_version(),
        "packages": _versions(PACKAGES),
    }
