"""Small models for digits of the kinds that broke elsewhere: batch statistics, recurrence, ties, masks, adapters.

Each takes what `inputs_of` makes of the 8 x 8 images (n, 1, 8, 8) and returns 10 logits (n, 10).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

LEVELS = 17  # grey levels of a digit's pixel, 0 to 16


def batchnorm_cnn() -> nn.Module:
    """Two convolutions, each with BatchNorm."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


class Residual(nn.Module):
    """Two convolutions beside a shortcut, as in ResNet (He et al., 2015)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(),
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside),
        )  # fmt: skip
        self.shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, inside, side, side) to (n, outside, side / stride, side / stride)."""
        return torch.relu(self.body(images) + self.shortcut(images))


def resnet() -> nn.Module:
    """A stem and two residual blocks, averaged over the image."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Residual(16, 16, 1), Residual(16, 32, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


class Lstm(nn.Module):
    """Reads an image as 8 tokens of 8 and classifies by the last state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(8, 48, batch_first=True), nn.Linear(48, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 1, 8, 8) to (n, 10)."""
        logits: torch.Tensor = self.head(self.lstm(images.flatten(0, 1))[0][:, -1])
        return logits


class Transformer(nn.Module):
    """Reads grey levels as token ids and names the class by the token that comes next: embedding and head are one.

    A token is one row of the image: the sum of its 8 pixels' embeddings, each turned by a table of its column.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Embedding(LEVELS + 10, width)
        self.columns, self.rows = nn.Parameter(torch.randn(8, width)), nn.Parameter(0.1 * torch.randn(8, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, LEVELS + 10, bias=False)
        self.head.weight = self.embed.weight
        nn.init.normal_(self.embed.weight, std=0.3)
        self.temperature = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("mask", torch.triu(torch.full((8, 8), float("-inf")), 1))

    def forward(self, levels: torch.Tensor) -> torch.Tensor:
        """Ids (n, 64) to (n, 10)."""
        tokens = (self.embed(levels).unflatten(1, (8, 8)) * self.columns).sum(2) + self.rows
        logits: torch.Tensor = self.head(self.body(tokens, mask=self.mask)[:, -1])[:, LEVELS:] * self.temperature
        return logits


class Adapted(nn.Module):
    """A frozen linear layer plus a learned product of two thin matrices (LoRA, Hu et al., 2021)."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(requires_grad=False)
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(n, in) to (n, out)."""
        out: torch.Tensor = self.base(values)
        return out + values @ self.down.T @ self.up.T


def wide_mlp() -> nn.Sequential:
    """64-512-512-10: 301,066 parameters."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def adapt(module: nn.Sequential, *, rank: int = 4) -> nn.Module:
    """Freeze an MLP's layers and put an adapter beside each: 8,488 parameters are learned of `wide_mlp`."""
    return nn.Sequential(*(Adapted(part, rank) if isinstance(part, nn.Linear) else part for part in module))


def lora() -> nn.Module:
    """Rank-4 adapters beside the layers of `wide_mlp`, whose own numbers are the base's to give."""
    return adapt(wide_mlp())


ZOO: Mapping[str, Callable[[], nn.Module]] = {
    "batchnorm-cnn": batchnorm_cnn, "resnet": resnet, "lstm": Lstm, "transformer": Transformer, "lora": lora,
}  # fmt: skip


def inputs_of(name: str, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | npt.NDArray[np.int64]:
    """Return images (n, 1, 8, 8) as a model of the zoo takes them: grey levels (n, 64) for the transformer."""
    if name != "transformer":
        return images
    levels: npt.NDArray[np.int64] = np.rint(images.reshape(len(images), 64) * (LEVELS - 1)).astype(np.int64)
    return levels
