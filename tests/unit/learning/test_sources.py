"""Frames, image folders and Hugging Face data sets become rows; what cannot is refused by column or file."""

from __future__ import annotations

import importlib
import io
import os
import zlib
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fl_platform.errors import ConfigError
from fl_platform.learning.batches import open_batches
from fl_platform.learning.datasets import Labelled
from fl_platform.learning.sources import ImageFolder, from_frame, from_hugging_face


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": [30, 41, 25],
            "height": np.array([1.7, 1.8, 1.6], np.float32),
            "smokes": [True, False, True],
            "city": pd.Categorical(["Bern", "Aarau", "Bern"], categories=["Aarau", "Bern", "Chur"]),
            "visits": [0.5, 2.0, 1.0],
            "ill": pd.Categorical(["no", "yes", "no"]),
        }
    )


def test_a_frame_becomes_rows() -> None:
    rows = from_frame(frame(), target="ill", features=["height", "smokes", "city"])
    assert rows.x.dtype == np.float32
    assert rows.x.tolist() == [
        [np.float32(1.7), 1, 0, 1, 0],
        [np.float32(1.8), 0, 1, 0, 0],
        [np.float32(1.6), 1, 0, 1, 0],
    ]
    assert (rows.y.dtype, rows.y.tolist()) == (np.int64, [0, 1, 0])
    assert from_frame(frame(), target="ill").x.shape == (3, 7)


def test_what_float32_cannot_hold_stays_exact() -> None:
    exact = from_frame(frame().assign(age=[2**40 + 1, 2, 3]), target="ill", features=["age"]).x
    assert (exact.dtype, exact[0, 0]) == (np.float64, 2**40 + 1)


@pytest.mark.parametrize(
    ("column", "dtype", "values"),
    [
        ("age", np.int64, [30, 41, 25]),
        ("smokes", np.int64, [1, 0, 1]),
        ("visits", np.float64, [0.5, 2.0, 1.0]),
        ("height", np.float32, [np.float32(1.7), np.float32(1.8), np.float32(1.6)]),
    ],
)
def test_targets_are_labels_or_quantities(column: str, dtype: type, values: list[float]) -> None:
    y = from_frame(frame(), target=column, features=["city"]).y
    assert (y.dtype, y.tolist()) == (dtype, values)


def test_nullable_and_sparse_columns_without_gaps_are_numbers() -> None:
    table = pd.DataFrame(
        {
            "a": pd.array([1, 2], dtype="Int64"),
            "b": pd.array([True, False], dtype="boolean"),
            "c": pd.arrays.SparseArray([0.0, 3.0]),
            "y": pd.array([0.5, 1.5], dtype="Float32"),
        }
    )
    rows = from_frame(table, target="y")
    assert rows.x.tolist() == [[1, 1, 0], [2, 0, 3]]
    assert (rows.y.dtype, rows.y.tolist()) == (np.float32, [0.5, 1.5])


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"age": ["x", "y", "z"]}, {}, "column 'age' holds str values: make it numbers or a category"),
        ({"age": [1, "y", None]}, {}, "column 'age' holds object values: make it numbers or a category"),
        ({"age": [1j, 2, 3]}, {}, "column 'age' holds complex128 values"),
        (
            {"age": pd.to_datetime(["2020-01-01"] * 3)},
            {},
            r"column 'age' holds datetime64\[us\] values: make it numbers",
        ),
        ({"age": [1, np.nan, np.nan]}, {}, r"column 'age' is empty in 2 rows, first in row 1: fill them \(fillna\)"),
        ({"age": pd.array([1, 2, None], dtype="Int64")}, {}, "column 'age' is empty in 1 rows, first in row 2"),
        ({"city": pd.Categorical(["a", None, "a"])}, {}, "column 'city' is empty in 1 rows"),
        ({"ill": ["no", "yes", "no"]}, {}, "column 'ill' holds str values"),
        ({"ill": [np.nan, 1.0, 0.0]}, {}, "column 'ill' is empty in 1 rows, first in row 0"),
        ({}, {"target": "dead"}, "column 'dead' must be in the frame once; it has 'age', 'height'"),
        ({}, {"features": ["age", "nose"]}, "column 'nose' must be in the frame once"),
        ({}, {"features": ["age", "ill"]}, "not the target 'ill'"),
        ({}, {"features": []}, "features none: name one column at least"),
    ],
)
def test_columns_that_are_no_numbers_are_named(changes: Any, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_frame(frame().assign(**changes), **{"target": "ill", **options})


def test_a_column_that_is_there_twice_is_refused() -> None:
    twice = pd.concat([frame(), frame()[["age"]]], axis=1)
    with pytest.raises(ConfigError, match="column 'age' must be in the frame once"):
        from_frame(twice, target="ill")


def painted(folder: Path, name: str, colour: Any, *, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> Path:
    """Write an image of one colour."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    painted(tmp_path, "dog/b.png", (0, 51, 255))
    painted(tmp_path, "dog/more/a.jpeg", (255, 255, 255), size=(50, 20))
    painted(tmp_path, "cat/1.gif", 1, mode="P")
    painted(tmp_path, "cat/2.PNG", 128, mode="L", size=(4, 4))
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def test_a_folder_of_images_is_read_by_class(folder: Path) -> None:
    images = ImageFolder(folder, size=(4, 6))
    assert images.classes == ("cat", "dog")
    assert [images[row][1] for row in range(len(images))] == [0, 0, 1, 1]
    blue = images[2][0]
    assert (blue.shape, blue.dtype) == ((3, 4, 6), np.float32)
    np.testing.assert_array_equal(blue[:, 3, 5], np.float32([0, 0.2, 1]))
    assert ImageFolder(folder, size=5, channels=1)[1][0].tolist() == np.full((1, 5, 5), np.float32(128 / 255)).tolist()
    batch = next(open_batches(images, batch_size=4, seed=1, device=torch.device("cpu")).epoch(0))
    assert (batch.inputs.shape, sorted(batch.targets.tolist())) == ((4, 3, 4, 6), [0, 0, 1, 1])


def test_images_are_turned_scaled_and_cropped_at_the_centre(tmp_path: Path) -> None:
    wide = Image.new("L", (40, 10), 0)
    wide.paste(255, (15, 0, 25, 10))  # a white square in the middle
    (tmp_path / "a").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: the camera was turned
    wide.save(tmp_path / "a" / "x.png")
    wide.save(tmp_path / "a" / "y.png", exif=exif)
    images = ImageFolder(tmp_path, size=10, channels=1)
    assert images[0][0].min() == images[1][0].min() == 1
    tall = ImageFolder(tmp_path, size=(40, 10), channels=1)[1][0]
    assert tall[0, :15].max() == tall[0, 25:].max() == 0
    assert tall[0, 15:25].min() == 1


def test_classes_agreed_on_give_the_labels(folder: Path) -> None:
    images = ImageFolder(folder, size=4, classes=("ant", "dog", "cat"))
    assert [images[row][1] for row in range(len(images))] == [1, 1, 2, 2]
    with pytest.raises(ConfigError, match="sub-folders 'cat', 'dog', for classes 'dog': each sub-folder must be"):
        ImageFolder(folder, size=4, classes=("dog",))


def test_folders_without_images_and_impossible_shapes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing is no folder"):
        ImageFolder(tmp_path / "nothing", size=4)
    with pytest.raises(ConfigError, match="has sub-folders none"):
        ImageFolder(tmp_path, size=4)
    (tmp_path / "a").mkdir()
    with pytest.raises(ConfigError, match=r"holds no images in its sub-folders: \.bmp"):
        ImageFolder(tmp_path, size=4)
    for options in ({"size": 0}, {"size": (4, 0)}, {"size": 4, "channels": 2}):
        with pytest.raises(ConfigError, match=r"use 1 \(grey\), 3 \(RGB\) or 4 channels, size over 0"):
            ImageFolder(tmp_path, **options)


def png_of(width: int, height: int) -> bytes:
    """Return a PNG of few bytes that claims a size: a header and hardly any data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def damaged() -> dict[str, bytes]:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(out, "PNG")
    whole = out.getvalue()
    return {
        "empty": b"",
        "text": b"hello",
        "cut": whole[: len(whole) // 2],
        "flipped": whole[:600] + bytes([whole[600] ^ 1]) + whole[601:],
        "bomb, warned of": png_of(10_000, 10_000),
        "bomb, refused": png_of(60_000, 60_000),
        "short": png_of(50, 50),
    }


@pytest.mark.parametrize("kind", sorted(damaged()))
def test_a_damaged_image_is_named(folder: Path, kind: str) -> None:
    (folder / "dog" / "b.png").write_bytes(damaged()[kind])
    images = ImageFolder(folder, size=4)
    with pytest.raises(
        ConfigError, match=rf"image dog{os.sep}b\.png cannot be read \(.+\): replace it or take it away"
    ):
        images[2]


def test_a_damaged_image_is_named_by_a_worker_too(folder: Path) -> None:
    (folder / "dog" / "b.png").write_bytes(b"")
    batches = open_batches(ImageFolder(folder, size=4), batch_size=4, seed=1, device=torch.device("cpu"), workers=1)
    with pytest.raises(ConfigError, match=r"^row 2 of ImageFolder: image dog.b\.png cannot be read [^\n]+$"):
        list(batches.epoch(0))


def hugging_face() -> datasets.Dataset:
    pixels = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
    features = {
        "image": datasets.Image(),
        "colour": datasets.Image(),
        "ids": datasets.List(datasets.Value("int32")),
        "weight": datasets.Value("float64"),
        "label": datasets.ClassLabel(names=["no", "yes"]),
        "name": datasets.Value("string"),
    }
    columns = {
        "image": [Image.fromarray(part) for part in pixels],
        "colour": [Image.new("RGB", (5, 4), (255, 51, 0))] * 2,
        "ids": [[1, 2], [3, 4]],
        "weight": [0.5, 1.5],
        "label": ["yes", "no"],
        "name": ["a", "b"],
    }
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def read(data: Any) -> Any:
    return next(open_batches(data, batch_size=2, seed=1, device=torch.device("cpu"), shuffle=False).epoch(0))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_hugging_face_data_set_is_read(streamed: bool) -> None:
    source = hugging_face()
    dataset = source.to_iterable_dataset() if streamed else source
    batch = read(from_hugging_face(dataset, inputs="image", target="label"))
    assert torch.equal(batch.inputs, torch.arange(40.0).reshape(2, 1, 4, 5) / 255)
    assert batch.targets.tolist() == [1, 0]
    batch = read(from_hugging_face(dataset, inputs=["ids", "colour"], target="weight"))
    assert (batch.inputs["ids"].dtype, batch.inputs["ids"].tolist()) == (torch.int64, [[1, 2], [3, 4]])
    assert batch.inputs["colour"][1, :, 3, 4].tolist() == pytest.approx([1, 0.2, 0])
    assert (batch.targets.dtype, batch.targets.tolist()) == (torch.float32, [0.5, 1.5])


def test_rows_of_a_hugging_face_data_set_are_shuffled_by_our_seed_and_streams_by_their_own() -> None:
    source = datasets.Dataset.from_dict({"x": list(range(50)), "y": [0] * 50})
    whole = from_hugging_face(source, inputs="x", target="y")
    wanted = open_batches(Labelled(np.arange(50), np.zeros(50, int)), batch_size=7, seed=4, device=torch.device("cpu"))
    ours = open_batches(whole, batch_size=7, seed=4, device=torch.device("cpu"))
    assert [b.inputs.tolist() for b in ours.epoch(1)] == [b.inputs.tolist() for b in wanted.epoch(1)]
    assert whole[3] == (3, 0)
    stream = from_hugging_face(source.to_iterable_dataset().shuffle(seed=2, buffer_size=20), inputs="x", target="y")
    batches = open_batches(stream, batch_size=7, seed=4, device=torch.device("cpu"))
    epochs = [torch.cat([batch.inputs for batch in batches.epoch(number)]).tolist() for number in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(50))


def test_a_transform_of_the_data_sets_own_is_kept() -> None:
    def halve(rows: dict[str, Any]) -> dict[str, Any]:
        return {"name": [torch.tensor([len(name) / 2]) for name in rows["name"]], "label": rows["label"]}

    data = from_hugging_face(hugging_face().with_transform(halve), inputs="name", target="label")
    assert read(data).inputs.tolist() == [[0.5], [0.5]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": "picture"}, "columns 'picture' are not in the data set, which has 'image', 'colour'"),
        ({"target": "class"}, "columns 'class' are not in"),
        ({"inputs": []}, "columns none are not in"),
        ({"inputs": "name"}, r"column 'name' is text: tokenize inputs \(map\)"),
        ({"target": "name"}, r"column 'name' is text: .*\(class_encode_column\)"),
    ],
)
def test_columns_that_cannot_be_read_are_named(options: Any, message: str) -> None:
    for dataset in (hugging_face(), hugging_face().to_iterable_dataset()):
        with pytest.raises(ConfigError, match=message):
            from_hugging_face(dataset, **{"inputs": "image", "target": "label", **options})


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("mnist", "str is no datasets.Dataset: load one with datasets.load_dataset"),
        (
            datasets.DatasetDict({"train": hugging_face()}),
            "a DatasetDict holds several data sets: choose one of 'train'",
        ),
    ],
)
def test_what_is_no_hugging_face_data_set_is_refused(dataset: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_hugging_face(dataset, inputs="image", target="label")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ConfigError, match=r"pandas is not installed: pip install 'fl-platform\[data\]'"):
        from_frame(frame(), target="ill")
    with pytest.raises(ConfigError, match="PIL is not installed"):
        ImageFolder(tmp_path, size=4)
