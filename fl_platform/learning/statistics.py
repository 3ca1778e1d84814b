"""Running statistics of a model: every reader estimates them from rows of its own, because they are never sent.

A layer such as BatchNorm keeps the mean and variance of what passes through it, for use after training. They are no
parameters: a mean of integers with noise can leave a variance negative, and their energy would drown what was learned.
So an update holds none, and whoever evaluates or releases a model calls `reestimate_statistics` on it first. The same
goes for what spectral normalisation keeps of its weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import ParametrizationList

from fl_platform.errors import ConfigError

ESTIMATED = (_NormBase, _SpectralNorm)  # layers whose buffers `reestimate_statistics` replaces
_POWER_STEPS = 50  # of spectral normalisation; torch starts a new layer with 15


class Inputs(Protocol):
    """A `batches.Batch`, of which the targets do not matter here."""

    @property
    def inputs(self) -> Any: ...


def has_batch_statistics(module: nn.Module) -> bool:
    """Whether a model keeps what `reestimate_statistics` estimates: BatchNorm, SyncBatchNorm, tracking InstanceNorm."""
    return bool(_layers(module)) or any(isinstance(part, _SpectralNorm) for part in module.modules())


@torch.no_grad()
def reestimate_statistics(module: nn.Module, batches: Iterable[Inputs]) -> None:
    """Replace every running statistic by its average over these rows, in place; parameters and modes stay.

    Each batch passes once, with the layers in question in training mode and all else (dropout) in evaluation mode. A
    layer's mean and variance become the averages of the batches' means and unbiased variances, weighted by how many
    values each brought: no variance is negative, and what is not finite becomes mean 0, variance 1. Give shuffled rows:
    the spread between batches is not counted. A layer that `module.train()` leaves in evaluation mode is a constant and
    stays. Raises ConfigError without any batch, or with one that has a single value a channel; a model without such
    layers is not run.
    """
    settle_norms(module)
    with _modes_kept(module):
        module.train()
        layers = [layer for layer in _layers(module) if layer.training]
        if not layers:
            return
        module.eval()
        for layer in layers:
            layer.train()
        _pass(module, layers, batches)
    for layer in layers:
        _floats(layer.running_mean).nan_to_num_(nan=0.0)
        _floats(layer.running_var).nan_to_num_(nan=1.0)


def _layers(module: nn.Module) -> list[_NormBase]:
    return [layer for layer in module.modules() if isinstance(layer, _NormBase) and layer.running_mean is not None]


def _pass(module: nn.Module, layers: Iterable[_NormBase], batches: Iterable[Inputs]) -> None:
    passed = 0
    with ExitStack() as averaging:
        for layer in layers:
            averaging.enter_context(_averaging(layer))
        for batch in batches:
            try:
                module(batch.inputs)
            except ValueError as error:
                if "Expected more than 1" in str(error):
                    raise ConfigError("batch statistics need batches of at least 2 rows; give more rows") from error
                raise
            passed += 1
    if not passed:
        raise ConfigError("the model keeps batch statistics, and there is not one row to estimate them from")


@contextmanager
def _modes_kept(module: nn.Module) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


@contextmanager
def _averaging(layer: _NormBase) -> Iterator[None]:
    """Give each call the momentum that makes the running statistics the average over all values so far."""
    seen, before = 0, layer.momentum

    def weigh(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal seen
        if not seen:
            layer.reset_running_stats()
        values = inputs[0].numel() // layer.num_features
        seen += values
        layer.momentum = values / max(1, seen)

    hook = layer.register_forward_pre_hook(weigh)
    try:
        yield
    finally:
        hook.remove()
        layer.momentum = before


@torch.no_grad()
def settle_norms(module: nn.Module) -> None:
    """Let spectral normalisation find its singular vectors anew: they belong to weights that were replaced.

    From the same start each time, so that what is computed next depends on the weights alone, not on rounds before.
    """
    for weights in module.modules():
        norms = weights.children() if isinstance(weights, ParametrizationList) else ()
        for norm in norms:
            if isinstance(norm, _SpectralNorm) and hasattr(norm, "_v"):  # a vector's norm needs none
                norm._v.copy_(torch.randn(norm._v.shape, generator=torch.Generator().manual_seed(0)))
                with _modes_kept(norm):
                    norm.train()
                    for _ in range(_POWER_STEPS):
                        norm(weights.original)


def _floats(statistic: torch.Tensor | None) -> torch.Tensor:
    assert statistic is not None
    return statistic
