"""Rows in memory; and real images: scikit-learn's bundled digits, and MNIST from its four idx files, gzipped or not.

Nothing is downloaded unless `fetch_mnist` is called. An idx file is checked (magic, declared sizes) before anything of
the declared size is allocated, and read no further than declared.
"""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import logging
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from fl_platform.errors import ConfigError, DocumentInvalid

logger = logging.getLogger(__name__)

MNIST_VARIABLE = "FL_PLATFORM_MNIST"
MNIST_FILES = {
    "train_images": ("train-images-idx3-ubyte.gz", (60_000, 28, 28)),
    "train_labels": ("train-labels-idx1-ubyte.gz", (60_000,)),
    "test_images": ("t10k-images-idx3-ubyte.gz", (10_000, 28, 28)),
    "test_labels": ("t10k-labels-idx1-ubyte.gz", (10_000,)),
}
# Mean and standard deviation of MNIST's training pixels scaled to 0..1: the customary normalisation.
_MNIST_MEAN, _MNIST_DEVIATION = 0.1307, 0.3081
_GZIP = b"\x1f\x8b"
_DIGITS_TEST_ROWS = 360  # a fifth of 1,797


@dataclass(frozen=True)
class Labelled:
    """Rows in memory, each with its target.

    `x`: numbers of any dtype, (n, ...): images (n, channels, height, width), features (n, features), token ids (n,
    length); or a tuple or dict of such arrays, for models of several inputs. Whole numbers stay whole, floating ones
    become the model's dtype when they are read. `y`: class labels from 0 on, of any whole dtype, (n,) or one a token or
    pixel; or floating targets. What the numbers are is checked by
    `batches.open_batches`. Raises ConfigError when `x` and `y` differ in length.
    """

    x: Any  # NDArray, or a tuple or dict of them
    y: npt.NDArray[Any]

    def __post_init__(self) -> None:
        for rows in _arrays(self.x):
            if len(rows) != len(self.y):
                raise ConfigError(f"{len(rows)} rows of data have {len(self.y)} labels")

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: npt.NDArray[np.int64] | slice) -> Labelled:
        """Return a subset by row numbers (a copy) or by a slice (a view)."""
        return Labelled(_taken(self.x, rows), self.y[rows])


def _arrays(x: Any) -> list[Any]:
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, tuple) else None
    return [x] if parts is None else [array for part in parts for array in _arrays(part)]


def _taken(x: Any, rows: npt.NDArray[np.int64] | slice) -> Any:
    if isinstance(x, dict):
        return {name: _taken(part, rows) for name, part in x.items()}
    return tuple(_taken(part, rows) for part in x) if isinstance(x, tuple) else x[rows]


@dataclass(frozen=True)
class Origin:
    """Where rows come from, of data that parties held before anybody dealt them. Both int64 (n,)."""

    part: npt.NDArray[np.int64]  # the party, from 0
    unit: npt.NDArray[np.int64]  # whose row it is; rows of one person stay on one side of a split


@dataclass(frozen=True)
class Split:
    """A data set in two: what is learned from, and what accuracy is measured on."""

    train: Labelled
    test: Labelled
    origin: Origin | None = None  # of the rows to learn from; None where they have none


def load_digits_split(seed: int = 0) -> Split:
    """Return scikit-learn's 1,797 digits, shape (n, 1, 8, 8), values 0 to 1: 1,437 rows to learn from, 360 to test.

    Raises ConfigError when scikit-learn or its file of digits is not there.
    """
    table = _digits()
    whole = Labelled((table[:, :64].astype(np.float32) / np.float32(16)).reshape(-1, 1, 8, 8), table[:, 64])
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(whole))
    return Split(train=whole.take(order[_DIGITS_TEST_ROWS:]), test=whole.take(order[:_DIGITS_TEST_ROWS]))


def _digits() -> npt.NDArray[np.int64]:
    """Read scikit-learn's bundled table, 64 pixels (0 to 16) and a label a row; importing its loader costs a second."""
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise ConfigError("the digits are scikit-learn's, which is not installed: run `make setup`")
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():
        raise ConfigError(f"scikit-learn has no {file.name} in {file.parent}: install the pinned one with `make setup`")
    return np.loadtxt(file, dtype=np.int64, delimiter=",")


def load_mnist_split(folder: Path | None = None) -> Split:
    """Return MNIST, shape (n, 1, 28, 28), normalised float32: 60,000 rows to learn from, 10,000 to test.

    `folder` as `mnist_folder` finds it. Raises ConfigError (files missing), DocumentInvalid (files malformed).
    """
    place = mnist_folder(folder)
    parts = {name: read_idx(_idx_file(place, file), shape) for name, (file, shape) in MNIST_FILES.items()}
    return Split(
        train=_labelled(parts["train_images"], parts["train_labels"]),
        test=_labelled(parts["test_images"], parts["test_labels"]),
    )


def mnist_folder(folder: Path | None = None) -> Path:
    """Find MNIST's files: the argument, else the environment's FL_PLATFORM_MNIST, else data beside the checkout.

    Raises ConfigError that says what was looked for and where.
    """
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mnist"
    named = folder or (Path(os.environ[MNIST_VARIABLE]) if os.environ.get(MNIST_VARIABLE) else None)
    place = named or beside
    missing = [file for file, _ in MNIST_FILES.values() if not _idx_file(place, file).is_file()]
    if missing:
        raise ConfigError(
            f"MNIST: {', '.join(missing)} not found in {place}; give the folder of the four idx files (gzipped or not) "
            f"as an option or in {MNIST_VARIABLE}, or fetch them with fl_platform.learning.datasets.fetch_mnist(folder)"
        )
    return place


def read_idx(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Read one idx file of unsigned bytes, gzipped or not, whose shape must be exactly `shape`.

    The file is untrusted: magic and sizes are compared before the body is inflated, at most the expected bytes (and one
    more, to see that there is none) are inflated. Raises DocumentInvalid.
    """
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == _GZIP  # a name can be wrong: some browsers unpack what they fetch
            file.seek(0)
            return _read_idx(cast(BinaryIO, gzip.open(file)) if gzipped else file, path.name, shape)
    except (zlib.error, EOFError, OSError) as error:
        raise DocumentInvalid(f"{path.name}: {error}; fetch the file again") from error


def _idx_file(folder: Path, name: str) -> Path:
    """Return the path of a gzipped idx file, or of the same unpacked where that is there instead."""
    unpacked = folder / name.removesuffix(".gz")
    return unpacked if unpacked.is_file() and not (folder / name).is_file() else folder / name


def write_idx(path: Path, array: npt.NDArray[np.uint8]) -> None:
    """Write an array of unsigned bytes as a gzipped idx file (the same bytes for the same array)."""
    header = bytes((0, 0, 8, array.ndim)) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes(), mtime=0))


def fetch_mnist(folder: Path) -> Path:
    """Download MNIST into `folder` through flwr-datasets or torchvision, whichever is installed; needs a network.

    Writes the four idx files that `load_mnist_split` reads. Raises ConfigError when neither package is there.
    """
    for module, fetch in (("flwr_datasets", _fetch_by_flwr_datasets), ("torchvision", _fetch_by_torchvision)):
        try:
            importlib.import_module(module)
        except ImportError:
            continue
        arrays = fetch(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            write_idx(folder / MNIST_FILES[name][0], array)
        logger.info("MNIST fetched with %s", module)
        return mnist_folder(folder)
    raise ConfigError("fetching MNIST needs flwr-datasets or torchvision: install one, or copy the four idx files")


def _fetch_by_flwr_datasets(folder: Path) -> dict[str, npt.NDArray[np.uint8]]:
    federated = importlib.import_module("flwr_datasets").FederatedDataset(dataset="ylecun/mnist", partitioners={})
    arrays = {}
    for part in ("train", "test"):
        rows = federated.load_split(part).with_format("numpy")
        arrays[f"{part}_images"] = np.stack([np.asarray(row["image"], dtype=np.uint8) for row in rows])
        arrays[f"{part}_labels"] = np.asarray(rows["label"], dtype=np.uint8)
    return arrays


def _fetch_by_torchvision(folder: Path) -> dict[str, npt.NDArray[np.uint8]]:
    kind = importlib.import_module("torchvision.datasets").MNIST
    arrays = {}
    for part in ("train", "test"):
        loaded = kind(str(folder), train=part == "train", download=True)
        arrays[f"{part}_images"] = loaded.data.numpy().astype(np.uint8)
        arrays[f"{part}_labels"] = loaded.targets.numpy().astype(np.uint8)
    return arrays


def _read_idx(stream: BinaryIO, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    wanted = bytes((0, 0, 8, len(shape))) + b"".join(side.to_bytes(4, "big") for side in shape)
    header = stream.read(len(wanted))
    if header != wanted:
        raise DocumentInvalid(f"{name}: header 0x{header.hex()} is not that of unsigned bytes of shape {shape}")
    size = int(np.prod(shape))
    body = stream.read(size)
    if len(body) != size or stream.read(1):
        raise DocumentInvalid(f"{name}: the body has not exactly the {size} bytes that its header declares")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def _labelled(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Labelled:
    if int(labels.max()) > 9:
        raise DocumentInvalid(f"MNIST: label {int(labels.max())} is over 9")
    x = (images.astype(np.float32) / np.float32(255) - np.float32(_MNIST_MEAN)) / np.float32(_MNIST_DEVIATION)
    return Labelled(x[:, np.newaxis, :, :], labels.astype(np.int64))
