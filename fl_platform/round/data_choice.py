"""From the words of a command line to a party's rows and model: a part of a public data set, or the owner's own code.

a public data set       part I of N of it (see learning.public), without the rows that the task owner keeps for row 0
package.module:NAME     a LearningTask of the data owner's own: a class, a function that returns one, or an instance
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec
from pathlib import Path

from fl_platform.errors import ConfigError
from fl_platform.learning.dealing import Dealt, deal_own
from fl_platform.learning.own_code import in_a_line
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.public import PUBLIC
from fl_platform.learning.task import LearningTask
from fl_platform.learning.tasks import Federation, federate_public

CUSTOM_PLAN = TrainPlan(1, 32, 0.05)
_SHOWN = 8  # names in an error


@dataclass(frozen=True)
class Lesson:
    """Which rows a process learns from."""

    data: str  # the name of a public data set, or "module:NAME"
    model: str = ""  # of a public data set; empty: its usual one
    partition: str = ""  # "iid", "2-shard", "dirichlet:ALPHA" or "natural"; empty: what suits the data
    parts: int = 1  # hands that the data set is dealt to
    seed: int = 0  # of the deal; everybody's must be equal, or the hands overlap
    folder: Path | None = None  # of MNIST's files

    @property
    def public(self) -> bool:
        """Whether the rows come from a public data set."""
        return self.data in PUBLIC

    @property
    def plan(self) -> TrainPlan:
        """Local training that suits the data set."""
        return PUBLIC[self.data].plan if self.public else CUSTOM_PLAN

    @property
    def model_name(self) -> str:
        """How the task's rules name the model."""
        return self.model or (PUBLIC[self.data].model if self.public else self.data)

    @property
    def natural_parts(self) -> int:
        """How many parties hold the rows before anybody deals them; 0: they are dealt to as many as there are."""
        return len(PUBLIC[self.data].parts) if self.public else 0


def data_of_model(model: str) -> str:
    """Return the public data set that a standard model is for. Raises ConfigError for any other model."""
    data = model.partition("-")[0]
    if data not in PUBLIC:
        raise ConfigError(f"the task's model is {model!r}: say what to learn from with --data module:NAME")
    return data


def reference_rows(lesson: Lesson) -> LearningTask:
    """Return the owner's side: the rows kept back for the reference update. Raises ConfigError, DocumentInvalid."""
    if not lesson.public:
        return own_task(lesson.data)
    return _federation(replace(lesson, parts=lesson.natural_parts or lesson.parts)).owner


def part(lesson: Lesson, index: int) -> LearningTask:
    """Return one trainer's side: hand `index` (from 0) of `lesson.parts`. Raises ConfigError, DocumentInvalid."""
    return hands(lesson)[index] if lesson.public else own_task(lesson.data)


def hands(lesson: Lesson) -> tuple[LearningTask, ...]:
    """Return all trainers' sides of a public data set."""
    if not lesson.public:
        raise ConfigError(f"{lesson.data} is one party's own data: run each trainer as its own process")
    return _federation(lesson).parties


def federation_of(lesson: Lesson, trainers: int, *, root_rows: int = 0) -> Federation | Dealt:
    """Return all sides at once, of a public data set or of one's own rows, dealt to `trainers`.

    `root_rows`: of one's own, those that the owner keeps; 0: a tenth. Raises ConfigError, DocumentInvalid.
    """
    if lesson.public:
        return _federation(replace(lesson, parts=trainers))
    task, partition = own_task(lesson.data), lesson.partition or "iid"
    return deal_own(task, lesson.data, trainers, partition=partition, root_rows=root_rows, seed=lesson.seed)


def own_task(words: str) -> LearningTask:
    """Import the data owner's own LearningTask, `module:NAME`, also from the current folder. Raises ConfigError."""
    module, separator, name = words.partition(":")
    if not separator or not module or not name:
        raise ConfigError(f"data {words!r} is unknown; use {', '.join(PUBLIC)} or module:NAME of a LearningTask")
    _look_here()
    try:
        found = getattr(importlib.import_module(module), name)
        task = found if isinstance(found, LearningTask) else found()
    except (Exception, SystemExit) as error:  # whatever the data owner's code raises
        text = f"cannot make a LearningTask of {words}: {in_a_line(error)}"
        remedy = _remedy(error, module, name)
        raise ConfigError(f"{text}; {remedy}" if remedy else text) from error
    if not isinstance(task, LearningTask):
        raise ConfigError(f"{words} gives a {type(task).__name__}; it must be a fl_platform.learning.task.LearningTask")
    return task


def source_file(module: str) -> Path | None:
    """Return the file that `own_task` runs, or has run, of a module; None: there is none. Nothing of it is run.

    Not by importlib.util.find_spec, which runs the packages above a module.
    """
    if (loaded := sys.modules.get(module)) is not None:
        ran = getattr(loaded, "__file__", None)
        return Path(ran) if ran else None
    _look_here()
    within, found, parts = None, None, module.split(".")
    for i in range(len(parts)):
        found = _spec(".".join(parts[: i + 1]), within)
        if found is None:
            return None
        within = found.submodule_search_locations or []
    return Path(found.origin) if found is not None and found.has_location and found.origin else None


def _spec(name: str, within: list[str] | None) -> ModuleSpec | None:
    """Ask the finders in import's own order; the first that knows the module decides."""
    return next((found for finder in sys.meta_path if (found := finder.find_spec(name, within)) is not None), None)


def _look_here() -> None:
    """Let modules be found in the folder where the command is typed."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)


def _remedy(error: BaseException, module: str, name: str) -> str:
    """Return what helps where a module, or a task in it, cannot be had; empty where the error's own text says it."""
    if "/" in module or module.endswith(".py"):
        path = Path(module)
        return f"before the colon stands a module, not a file: in the folder {path.parent} write {path.stem}:{name}"
    if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
        files = sorted(path.stem for path in Path().glob("*.py"))
        there = f"it has {', '.join(files[:_SHOWN])}" if files else "it has no .py file"
        return f"modules are looked for in the folder where the command is typed, {Path.cwd().name}; {there}"
    if isinstance(error, ModuleNotFoundError):
        return "install it where fl-platform is installed"
    if isinstance(error, ImportError) and "relative import" in str(error):
        return "a task's file is no part of a package: write `import x` or `from x import y`, without the dot"
    if isinstance(error, SyntaxError):
        return f"mend line {error.lineno} of {Path(error.filename or module).name}, then run this again"
    found = sys.modules.get(module)
    if isinstance(error, AttributeError) and found is not None and not hasattr(found, name):
        own = [key for key, value in vars(found).items() if getattr(value, "__module__", "") == module]
        return f"it has {', '.join(own[:_SHOWN])}" if own else (
            f"it has no class: write `class {name}(LearningTask)` in it (`fl-platform new DIR` shows one)"
        )
    if isinstance(error, TypeError) and "abstract method" in str(error):
        return "write what is missing: a task has model, train_data and validation_data"
    if isinstance(error, TypeError) and "argument" in str(error):
        return "a task is made without arguments: read what it needs inside, or name a function that returns the task"
    return ""


def _federation(lesson: Lesson) -> Federation:
    return federate_public(
        PUBLIC[lesson.data],
        model=lesson.model,
        parties=lesson.parts,
        partition=lesson.partition,
        seed=lesson.seed,
        folder=lesson.folder,
    )
