"""Losses by kind of task, each the mean of a batch and differentiable: what `LearningTask.loss` returns.

    classes and pixels    cross_entropy          outputs (n, c) or (n, c, d1, ...), targets (n) or (n, d1, ...)
    one of two            binary_cross_entropy   outputs (n) or (n, 1) logits, targets 0 or 1
    tokens                token_cross_entropy    outputs (n, t, c), targets (n, t)
    numbers               mean_squared_error     outputs and targets of one shape

Shapes that torch would broadcast in silence, (n, 1) against (n), are aligned or refused: the loss of such a pair is the
mean over n * n differences, and training on it finds the mean of the targets.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from fl_platform.errors import ConfigError

IGNORED = -100  # torch's own: a target of this value is not counted (padding, unlabelled pixels)


def cross_entropy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of logits over the rows, or of masks (n, h, w) the pixels, that are not -100; 0 of none."""
    if targets.is_floating_point() or _all_counted(targets):
        return functional.cross_entropy(outputs, targets)
    return _over_counted(outputs, targets, IGNORED)


def token_cross_entropy(outputs: torch.Tensor, targets: torch.Tensor, ignore: int = IGNORED) -> torch.Tensor:
    """Mean cross-entropy of logits (n, t, c) over the tokens (n, t) that are not `ignore`; 0 where none is left."""
    return _over_counted(outputs.movedim(-1, 1), targets, ignore)


def binary_cross_entropy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of one logit a row, (n) or (n, 1), and targets 0 or 1 of any dtype. Raises ConfigError."""
    logits, wanted = aligned(outputs, targets)
    return functional.binary_cross_entropy_with_logits(logits, wanted.to(logits.dtype))


def mean_squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean of the squared differences over all numbers of a batch. Raises ConfigError: the shapes do not fit."""
    predicted, wanted = aligned(outputs, targets)
    return functional.mse_loss(predicted, wanted.to(predicted.dtype))


def aligned(outputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both in one shape, where they differ by a last axis of length 1 at most. Raises ConfigError."""
    if outputs.shape == (*targets.shape, 1):
        return outputs.squeeze(-1), targets
    if targets.shape == (*outputs.shape, 1):
        return outputs, targets.squeeze(-1)
    if outputs.shape != targets.shape:
        raise ConfigError(
            f"outputs of shape {tuple(outputs.shape)} against targets of shape {tuple(targets.shape)}: they must be "
            "equal up to a last axis of 1; reshape what the model returns, or override `loss`"
        )
    return outputs, targets


def _all_counted(targets: torch.Tensor) -> bool:
    """Whether no label is left out, where that costs less than to count: a look on the CPU, a wait on a GPU."""
    return not targets.is_cuda and targets.numel() > 0 and int(targets.min()) >= 0


def _over_counted(outputs: torch.Tensor, targets: torch.Tensor, ignore: int) -> torch.Tensor:
    """Divide by what is counted, and by 1 where nothing is: torch's own mean is NaN there, and spreads."""
    total = functional.cross_entropy(outputs, targets, ignore_index=ignore, reduction="sum")
    return total / (targets != ignore).sum().clamp(min=1)
