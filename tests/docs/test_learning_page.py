"""The page for whoever brings a model: its classes train, its options and files are there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from fl_platform.cli.new import new
from fl_platform.cli.run import run as play
from fl_platform.cli.task import open_
from fl_platform.cli.trainer import run
from fl_platform.learning import TrainPlan, initial_state, measure, train_locally
from fl_platform.learning import sources as sources_module

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "LEARNING.md").read_text()
SCOPE: dict[str, object] = {}
for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
    exec(compile(block, "LEARNING.md", "exec"), SCOPE)


@pytest.mark.parametrize("name", ["Flowers", "Prices", "Noisy"])
def test_each_class_trains_and_is_measured(name: str) -> None:
    task = SCOPE[name]()  # type: ignore[operator]
    parent = initial_state(task.model, seed=1)
    update = train_locally(task, parent, plan=TrainPlan(3, 16, 0.05), seed=1)
    assert np.isfinite(update.mean_loss)
    assert any(part.any() for part in update.delta.values())
    assert measure(task, parent).rows == 40


def test_options_and_sources_exist() -> None:
    known = {option for command in (open_, run, new, play) for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= known
    assert all(hasattr(sources_module, name) for name in re.findall(r"`sources\.(\w+)", PAGE))


def test_links_lead_to_files() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", PAGE) if "://" not in link]
    assert links
    assert all((ROOT / "docs" / link).exists() for link in links)
