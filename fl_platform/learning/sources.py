"""Rows from elsewhere: Pandas frames, folders of images, Hugging Face data sets (flwr-datasets' partitions are such).

The packages come with the extra `data` and are imported when they are used. A federation's parties must agree on what
a column or a class means: give all of them the same categories and classes.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, IterableDataset

from fl_platform.errors import ConfigError
from fl_platform.learning.datasets import Labelled

IMAGE_FILES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # channels -> Pillow's name
_SHOWN = 8  # names in an error


def from_frame(frame: Any, *, target: str, features: Sequence[str] | None = None) -> Labelled:
    """Return a `pandas.DataFrame`'s rows: `x` (n, features) from the feature columns, `y` (n,) from the target column.

    `features`: all columns but the target unless named. Numbers and booleans become a column each, a category column
    one per category, 0 or 1 (also per category without a row). `x` is float32, or float64 where a column needs it. A
    target of whole numbers, booleans or categories (numbered in their order) is class labels, of other numbers a
    quantity. Raises ConfigError that names the column: missing, text, dates, empty cells.
    """
    pandas = _package("pandas")
    names = [name for name in frame.columns if name != target] if features is None else list(features)
    unknown = [name for name in (*names, target) if list(frame.columns).count(name) != 1]
    if unknown:
        raise ConfigError(f"column {unknown[0]!r} must be in the frame once; it has {_some(frame.columns)}")
    if target in names or not names:
        raise ConfigError(f"features {_some(names)}: name one column at least, and not the target {target!r}")
    for name in (*names, target):
        _check_column(pandas, frame[name], name)
    chosen = frame[names]
    categories = [name for name in names if isinstance(chosen[name].dtype, pandas.CategoricalDtype)]
    wide = pandas.get_dummies(chosen, columns=categories, dtype=np.float32) if categories else chosen
    x = wide.to_numpy(dtype=np.result_type(np.float32, *(_plain(dtype) for dtype in wide.dtypes)))
    column = frame[target]
    if isinstance(column.dtype, pandas.CategoricalDtype):
        return Labelled(x, column.cat.codes.to_numpy(np.int64))
    whole = not pandas.api.types.is_float_dtype(column.dtype)
    return Labelled(x, column.to_numpy(dtype=np.int64 if whole else _plain(column.dtype)))


def _check_column(pandas: Any, column: Any, name: str) -> None:
    types = pandas.api.types
    if not isinstance(column.dtype, pandas.CategoricalDtype) and (
        not (types.is_numeric_dtype(column.dtype) or types.is_bool_dtype(column.dtype))
        or types.is_complex_dtype(column.dtype)
    ):
        remedy = "make it numbers" if types.is_datetime64_any_dtype(column.dtype) else "make it numbers or a category"
        raise ConfigError(f"column {name!r} holds {column.dtype} values: {remedy} (astype), or leave it out")
    empty = np.flatnonzero(column.isna().to_numpy())
    if len(empty):
        raise ConfigError(
            f"column {name!r} is empty in {len(empty)} rows, first in row {empty[0]}: fill them (fillna) or drop them "
            "(dropna)"
        )


def _plain(dtype: Any) -> np.dtype[Any]:
    """Return the NumPy dtype of a column's values: Pandas' nullable ones have names of their own."""
    plain: np.dtype[Any] = np.dtype(getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype)))
    return plain


class ImageFolder(Dataset[tuple[npt.NDArray[np.float32], int]]):
    """Images in a folder with a sub-folder per class, read when they are asked for.

    A row is a float32 array (channels, height, width), 0 to 1, and the class's number. Images are turned as their
    camera noted, scaled to cover `size` and cropped at the centre. `classes` names the sub-folders that count, in the
    order of their labels, the same for all parties; without it they are those that are there, sorted. The files are
    untrusted: one that claims more pixels than Pillow thinks safe is refused before it is unpacked. Raises ConfigError
    that names the folder or the file.
    """

    def __init__(
        self, path: str | Path, *, size: int | tuple[int, int], channels: int = 3, classes: Sequence[str] | None = None
    ) -> None:
        _package("PIL.Image")
        self._folder = Path(path)
        self._height, self._width = (size, size) if isinstance(size, int) else size
        if channels not in _MODES or min(self._height, self._width) < 1:
            raise ConfigError(f"{channels} channels of {size} pixels: use 1 (grey), 3 (RGB) or 4 channels, size over 0")
        self._mode = _MODES[channels]
        if not self._folder.is_dir():
            raise ConfigError(f"{self._folder} is no folder: give one with a sub-folder of images for each class")
        found = sorted(
            entry.name for entry in self._folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
        )
        self.classes = tuple(found if classes is None else classes)
        foreign = sorted(set(found) - set(self.classes))
        if foreign or not self.classes:
            raise ConfigError(
                f"{self._folder} has sub-folders {_some(found)}, for classes {_some(self.classes)}: each sub-folder "
                "must be a class"
            )
        self._files = [
            (file, label)
            for label, name in enumerate(self.classes)
            for file in sorted((self._folder / name).rglob("*"))
            if file.suffix.lower() in IMAGE_FILES and file.is_file()
        ]
        if not self._files:
            raise ConfigError(f"{self._folder} holds no images in its sub-folders: {' '.join(sorted(IMAGE_FILES))}")

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> tuple[npt.NDArray[np.float32], int]:
        file, label = self._files[row]
        image, operations = _package("PIL.Image"), _package("PIL.ImageOps")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", image.DecompressionBombWarning)
                with image.open(file) as opened:
                    upright = operations.exif_transpose(opened).convert(self._mode)
            fitted = operations.fit(upright, (self._width, self._height), image.Resampling.BILINEAR)
        except Exception as error:  # Pillow's readers raise many kinds for a damaged file
            place = file.relative_to(self._folder)
            raise ConfigError(f"image {place} cannot be read ({error}): replace it or take it away") from error
        return _channels_first(np.asarray(fitted)), label


def from_hugging_face(dataset: Any, *, inputs: str | Sequence[str], target: str) -> Dataset[tuple[Any, Any]]:
    """Return a `datasets.Dataset` (or, streamed, `datasets.IterableDataset`) as a PyTorch data set of pairs.

    `inputs`: one column, or several, which make a dict by column. Whole numbers become int64, other numbers float32,
    images float32 (channels, height, width), 0 to 1; a data set with a format or transform of its own gives its rows as
    that makes them. Raises ConfigError when it is no such data set, or a column is missing or text.
    """
    if isinstance(dataset, dict):
        raise ConfigError(f"a {type(dataset).__name__} holds several data sets: choose one of {_some(dataset)}")
    if not hasattr(dataset, "with_format") or not hasattr(dataset, "column_names"):
        raise ConfigError(f"{type(dataset).__name__} is no datasets.Dataset: load one with datasets.load_dataset")
    names = [inputs] if isinstance(inputs, str) else list(inputs)
    columns, features = dataset.column_names, dataset.features or {}  # a stream may know neither
    missing = [name for name in (*names, target) if columns is not None and name not in columns]
    if missing or not names:
        raise ConfigError(f"columns {_some(missing or names)} are not in the data set, which has {_some(columns)}")
    by_number = hasattr(dataset, "__getitems__")
    if not by_number or dataset.format["type"] is None:
        text = [name for name in (*names, target) if "string" in str(getattr(features.get(name), "dtype", ""))]
        if text:
            raise ConfigError(
                f"column {text[0]!r} is text: tokenize inputs (map), number classes (class_encode_column)"
            )
        images = frozenset(name for name in names if type(features.get(name)).__name__ == "Image")
        dataset = dataset.with_format("numpy")
    else:
        images = frozenset()
    return (_ByNumber if by_number else _Stream)(dataset, inputs if isinstance(inputs, str) else names, target, images)


class _Pairs:
    """Rows of a Hugging Face data set, as pairs."""

    def __init__(self, rows: Any, inputs: str | list[str], target: str, images: frozenset[str]) -> None:
        self._rows, self._inputs, self._target, self._images = rows, inputs, target, images

    def _pair(self, row: dict[str, Any]) -> tuple[Any, Any]:
        def cell(name: str) -> Any:
            return _channels_first(row[name]) if name in self._images else row[name]

        several = not isinstance(self._inputs, str)
        return {name: cell(name) for name in self._inputs} if several else cell(str(self._inputs)), row[self._target]


class _ByNumber(_Pairs, Dataset[tuple[Any, Any]]):
    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        return self._pair(self._rows[row])

    def __getitems__(self, rows: list[int]) -> list[tuple[Any, Any]]:
        return [self._pair(row) for row in self._rows.__getitems__(rows)]


class _Stream(_Pairs, IterableDataset[tuple[Any, Any]]):
    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return map(self._pair, self._rows)

    def set_epoch(self, number: int) -> None:
        self._rows.set_epoch(number)


def _channels_first(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return an image (height, width[, channels]) as float32 (channels, height, width); whole pixels become 0 to 1."""
    most = np.iinfo(image.dtype).max if image.dtype.kind in "iu" else 1
    pixels = image.reshape(*image.shape[:2], -1).astype(np.float32) / np.float32(most)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _package(name: str) -> Any:
    """Import a package of the extra `data`. Raises ConfigError."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"{name.partition('.')[0]} is not installed: pip install 'fl-platform[data]'") from error


def _some(names: Iterable[Any]) -> str:
    listed = [repr(name) for name in names]
    return ", ".join(listed[:_SHOWN]) + (", ..." if len(listed) > _SHOWN else "") or "none"
