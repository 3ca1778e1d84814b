"""Step 3: what runs beside the data. The task interface, data sets, partitions, models and local training.

Floats end here: a `LocalUpdate` goes to `updates.codec` and is integers from then on.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fl_platform.learning.datasets import Labelled, Split, fetch_mnist, load_digits_split, load_mnist_split
    from fl_platform.learning.evaluation import Evaluation, Measured, correct_rows, evaluate, measure
    from fl_platform.learning.machine import Machine, choose_device, choose_machine
    from fl_platform.learning.models import build_model
    from fl_platform.learning.parameters import initial_state, model_spec
    from fl_platform.learning.plan import TrainPlan
    from fl_platform.learning.sources import ImageFolder, from_frame, from_hugging_face
    from fl_platform.learning.task import DataTask, LearningTask, TransformedTask
    from fl_platform.learning.tasks import Federation, deal, federate, load_split
    from fl_platform.learning.train import LocalUpdate, Past, train_locally

_HOMES = {
    "datasets": ("Labelled", "Split", "fetch_mnist", "load_digits_split", "load_mnist_split"),
    "machine": ("Machine", "choose_device", "choose_machine"),
    "evaluation": ("Evaluation", "Measured", "correct_rows", "evaluate", "measure"),
    "models": ("build_model",),
    "parameters": ("initial_state", "model_spec"),
    "plan": ("TrainPlan",),
    "sources": ("ImageFolder", "from_frame", "from_hugging_face"),
    "task": ("DataTask", "LearningTask", "TransformedTask"),
    "tasks": ("Federation", "deal", "federate", "load_split"),
    "train": ("LocalUpdate", "Past", "train_locally"),
}

__all__ = [
    "DataTask",
    "Evaluation",
    "Federation",
    "ImageFolder",
    "Labelled",
    "LearningTask",
    "LocalUpdate",
    "Machine",
    "Measured",
    "Past",
    "Split",
    "TrainPlan",
    "TransformedTask",
    "build_model",
    "choose_device",
    "choose_machine",
    "correct_rows",
    "deal",
    "evaluate",
    "federate",
    "fetch_mnist",
    "from_frame",
    "from_hugging_face",
    "initial_state",
    "load_digits_split",
    "load_mnist_split",
    "load_split",
    "measure",
    "model_spec",
    "train_locally",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: data sets are read where nobody needs torch."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
