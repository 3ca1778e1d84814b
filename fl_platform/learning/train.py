"""Step 3: local epochs from the parent model on one party's rows; and measuring a model, in whole counts.

Same parent, rows, plan and seed give the same bytes on the same machine, whatever number of threads the process was
given: a BLAS or convolution splits its sums by its thread count, so `deterministic` pins torch to one thread and
deterministic kernels for the time of the work. Several trainings at once belong in several processes: the setting is
the process's. Another processor may round differently; audits never retrain, they start at the integers.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.optim.sgd import sgd

from fl_platform.errors import ConfigError
from fl_platform.learning.datasets import Labelled
from fl_platform.learning.parameters import State, difference, load_state, state_arrays
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import LearningTask

_EVALUATION_BATCH = 500  # rows: tens of MiB of activations for the largest standard model


@dataclass(frozen=True)
class LocalUpdate:
    """What one party learned in one round, in floats; the codec turns it into integers."""

    delta: Mapping[str, npt.NDArray[np.float32]]  # trained minus parent, canonical order
    samples: int  # rows learned from (informative: no weight follows from it)
    steps: int
    mean_loss: float  # over all batches


@dataclass(frozen=True)
class Evaluation:
    """How many rows a model classified rightly."""

    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """Share of right rows, 0 to 1, for display; sums and scores use the counts."""
        return self.correct / self.total if self.total else 0.0


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
def deterministic(seed: int, device: torch.device) -> Iterator[None]:
    """Pin torch to one thread, deterministic kernels and a seed; put everything back afterwards."""
    threads, strict = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    if device.type == "cuda":
        # cuBLAS refuses deterministic mode without it, with an error that names this variable.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(1)
    # The flag of torch.use_deterministic_algorithms(True), which also imports the inductor (a second of CPU a process)
    # to tell it not to time kernels against each other. Only torch.compile asks it, and nothing here compiles.
    torch.set_deterministic_debug_mode("error")
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_deterministic_debug_mode(strict)
        torch.set_num_threads(threads)


def train_locally(
    task: LearningTask, parent: State, *, plan: TrainPlan, seed: int, device: torch.device | None = None
) -> LocalUpdate:
    """Train the parent model on the task's rows and return the float delta.

    `parent`: float32 arrays of the model's names and shapes; `seed` orders the rows and feeds dropout. A diverged
    training returns NaN in the delta, which the codec refuses by name. Raises ConfigError without rows or with an
    impossible plan, UpdateHeaderMismatch when the parent is not of this model.
    """
    where = device or torch.device("cpu")
    data = task.train_data()
    if not len(data) or plan.batch_size < 1 or plan.epochs < 1:
        raise ConfigError(f"{len(data)} rows, batches of {plan.batch_size}, {plan.epochs} epochs: all must be over 0")
    with deterministic(seed, where):
        module = _placed(task.model(), parent, where)
        module.train()
        steps, loss = _descend(module, task, data, plan=plan, seed=seed, device=where)
        trained = state_arrays(module)
    return LocalUpdate(delta=difference(trained, parent), samples=len(data), steps=steps, mean_loss=loss)


def evaluate(module: nn.Module, state: State, data: Labelled, *, device: torch.device | None = None) -> Evaluation:
    """Count the rows that a model classifies rightly (float32; `module` gives the architecture and is not changed)."""
    right = _right_rows(module, state, data, torch.float32, device or torch.device("cpu"))
    return Evaluation(correct=int(right.sum()), total=len(data))


def correct_rows(module: nn.Module, state: State, data: Labelled) -> npt.NDArray[np.bool_]:
    """Return which rows a model classifies rightly, shape (n,), computed in float64 on the CPU.

    For scores on committed validation rows: in float64 two machines disagree on a row only when its two best logits
    agree to about 13 digits. Ties go to the lowest class.
    """
    return _right_rows(module, state, data, torch.float64, torch.device("cpu"))


def _placed(module: nn.Module, state: State, device: torch.device) -> nn.Module:
    load_state(module, state)
    module = module.to(device)
    if any(parameter.dim() == 4 for parameter in module.parameters()):
        # Convolutions run about a quarter faster with channels last, on CPU and GPU alike.
        return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    return module


def _descend(
    module: nn.Module, task: LearningTask, data: Labelled, *, plan: TrainPlan, seed: int, device: torch.device
) -> tuple[int, float]:
    inputs, targets = torch.tensor(data.x, device=device), torch.tensor(data.y, device=device)
    velocity: dict[torch.Tensor, torch.Tensor | None] = {}
    generator = np.random.Generator(np.random.Philox(seed))
    total, steps = torch.zeros((), dtype=torch.float64, device=device), 0
    for _ in range(plan.epochs):
        order = torch.tensor(generator.permutation(len(data)), device=device)
        for rows in torch.split(order, plan.batch_size):
            module.zero_grad(set_to_none=True)
            loss = task.loss(module(inputs[rows]), targets[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            _step(module, velocity, plan)
            total += loss.detach()
            steps += 1
    return steps, float(total) / steps


@torch.no_grad()
def _step(module: nn.Module, velocity: dict[torch.Tensor, torch.Tensor | None], plan: TrainPlan) -> None:
    """Take one step of torch.optim.SGD by its own function: its class imports torch._dynamo, 0.7 CPU-s a process."""
    gradients = {weights: weights.grad for weights in module.parameters() if weights.grad is not None}
    buffers = [velocity.get(weights) for weights in gradients]
    sgd(
        list(gradients),
        list(gradients.values()),
        buffers,
        lr=plan.learning_rate,
        momentum=plan.momentum,
        weight_decay=plan.weight_decay,
        dampening=0.0,
        nesterov=False,
        maximize=False,
    )
    velocity.update(zip(gradients, buffers, strict=True))


def _right_rows(
    module: nn.Module, state: State, data: Labelled, dtype: torch.dtype, device: torch.device
) -> npt.NDArray[np.bool_]:
    right = np.zeros(len(data), dtype=np.bool_)
    with deterministic(0, device), torch.inference_mode():
        judged = _placed(copy.deepcopy(module), state, device).to(dtype)
        judged.eval()
        for start in range(0, len(data), _EVALUATION_BATCH):
            block = slice(start, start + _EVALUATION_BATCH)
            logits = judged(torch.tensor(data.x[block], device=device).to(dtype)).cpu().numpy()
            right[block] = np.argmax(logits, axis=1) == data.y[block]
    return right
