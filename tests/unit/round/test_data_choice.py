"""Words become rows: hands of a public data set that do not overlap, or the data owner's own code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fl_platform.errors import ConfigError
from fl_platform.learning.public import PUBLIC
from fl_platform.round.data_choice import Lesson, data_of_model, hands, own_task, part, reference_rows

OWN = """
from fl_platform.learning.datasets import load_digits_split
from fl_platform.learning.models import digits_mlp
from fl_platform.learning.task import LearningTask

class MyDigits(LearningTask):
    def model(self):
        return digits_mlp()
    def train_data(self):
        return load_digits_split().train
    def validation_data(self):
        return load_digits_split().test

def broken():
    raise RuntimeError("no rows today")

instance = MyDigits()
"""


def test_hands_and_root_rows_share_nothing_and_miss_nothing() -> None:
    lesson = Lesson("digits", parts=3, seed=4)
    rows = [one.train_data().x for one in (*hands(lesson), reference_rows(lesson))]
    flat = np.concatenate(rows).reshape(sum(map(len, rows)), -1)
    assert len(rows[-1]) == PUBLIC["digits"].root_rows
    assert len(flat) == 1437
    same = part(lesson, 1).train_data()
    assert np.array_equal(same.x, rows[1])


def test_a_site_is_a_part_and_the_owner_s_people_are_nobody_s() -> None:
    lesson = Lesson("randhie", parts=6, seed=2)
    sides = [one.train_data() for one in (*hands(lesson), reference_rows(Lesson("randhie", seed=2)))]
    assert len(sides) == 7
    assert sum(map(len, sides)) + len(hands(lesson)[0].validation_data()) == 20_190
    assert lesson.model_name == "randhie-logistic"
    with pytest.raises(ConfigError, match="come in 6 parts, not 1"):
        part(Lesson("randhie", seed=2), 0)


def test_a_model_s_name_says_its_data() -> None:
    assert data_of_model("mnist-cnn") == "mnist"
    with pytest.raises(ConfigError, match="--data module:NAME"):
        data_of_model("llama")


@pytest.mark.parametrize("name", ["MyDigits", "instance"])
def test_a_data_owner_s_own_code_is_imported_from_the_current_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"own_{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    task = own_task(f"own_{name}:{name}")
    assert len(task.train_data()) == 1437
    assert part(Lesson(f"own_{name}:{name}"), 0).validation_data()
    with pytest.raises(ConfigError, match="RuntimeError: no rows today"):
        own_task(f"own_{name}:broken")
    with pytest.raises(ConfigError, match="one party's own data"):
        hands(Lesson(f"own_{name}:{name}"))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ValueError('one\\ntwo')", r"ValueError: one two; at failing_0\.py:2$"),
        ("import no_such_package", r"No module named 'no_such_package'; at failing_1\.py:2; install it"),
        ("import sys; sys.exit(3)", r"SystemExit: 3; at failing_2\.py:2$"),
        ("def broken(:", r"SyntaxError: invalid syntax"),
    ],
)
def test_what_fails_on_the_way_in_is_one_line_with_its_place(
    body: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    name = f"failing_{request.node.callspec.indices['body']}"
    (tmp_path / f"{name}.py").write_text(f"\n{body}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=says) as caught:
        own_task(f"{name}:Mine")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "code", "remedy"),
    [
        ("absent_lesson:Mine", "", "typed, .*; it has broken_lesson"),
        ("broken_lesson.py:Mine", "", "in the folder . write broken_lesson:Mine"),
        ("./site/broken_lesson.py:Mine", "", "in the folder site write broken_lesson:Mine"),
        ("broken_lesson:mine", "class Mine: pass", "it has Mine$"),
        ("broken_lesson:Mine", "from .columns import Mine", "without the dot"),
        ("broken_lesson:Mine", "import no_such_package", "install it where fl-platform is"),
        ("broken_lesson:Mine", "class Mine:\n    def __init__(self, path): ...", "without arguments"),
        ("broken_lesson:Mine", OWN.replace("MyDigits(", "Mine(").split("    def valid")[0], "write what is missing"),
        ("broken_lesson:Mine", "def Mine(:", "invalid syntax.*; mend line 1 of broken_lesson.py"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_what_helps(
    words: str, code: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_lesson.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    monkeypatch.delitem(__import__("sys").modules, "broken_lesson", raising=False)
    with pytest.raises(ConfigError, match=remedy):
        own_task(words)


@pytest.mark.parametrize(
    "words", ["cats", "os:", ":x", "nowhere_at_all:X", "json:loads", "json:absent", "builtins:dict"]
)
def test_anything_else_is_refused(words: str) -> None:
    with pytest.raises(ConfigError):
        own_task(words)
