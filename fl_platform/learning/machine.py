"""What a party's machine computes with: a device, threads, worker processes. Never audited.

Tests: tests/unit/learning/test_train.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from fl_platform.errors import ConfigError


@dataclass(frozen=True)
class Machine:
    """How one party computes."""

    device: torch.device
    threads: int = 1  # of the CPU; one gives the same bytes again and again, more are faster
    workers: int = 0  # processes that read a map-style data set
    compiled: bool = False  # torch.compile the model: pays where it trains for minutes


CPU = Machine(torch.device("cpu"))


def choose_machine(wish: str = "auto", *, threads: int = 1, workers: int = 0, compiled: bool = False) -> Machine:
    """Return the machine for a device's name (see `choose_device`); 0 threads are all cores. Raises ConfigError."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(choose_device(wish), threads or cores, workers, compiled)


def choose_device(wish: str = "auto") -> torch.device:
    """Return the device for "auto" (CUDA if there is one), "cpu" or "cuda[:N]". Raises ConfigError."""
    if wish == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wish)
    except RuntimeError as error:
        raise ConfigError(f"device {wish!r} is unknown; use auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device {wish!r} is not supported; use auto, cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {wish!r}: torch sees {torch.cuda.device_count()} CUDA devices; use cpu or auto")
    return device


@contextmanager
def seeded(seed: int, machine: Machine) -> Iterator[None]:
    """Give torch a seed and the machine's threads; put generator and threads back afterwards.

    Several trainings at once belong in several processes: both settings are the process's.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(machine.threads)
    try:
        with torch.random.fork_rng(devices=[machine.device] if machine.device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Pin torch to one thread and deterministic kernels; put everything back afterwards. For what is scored."""
    strict = torch.get_deterministic_debug_mode()
    if device.type == "cuda":
        # cuBLAS refuses deterministic mode without it, with an error that names this variable.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # The flag of torch.use_deterministic_algorithms(True), which also imports the inductor (a second of CPU a process)
    # to tell it not to time kernels against each other. Only torch.compile asks it, and nothing scored is compiled.
    torch.set_deterministic_debug_mode("error")
    try:
        with seeded(0, Machine(device)):
            yield
    finally:
        torch.set_deterministic_debug_mode(strict)
