"""`fl-platform new`: a project to start from, in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from fl_platform.cli.defaults import FILE
from fl_platform.errors import ConfigError

TEMPLATES = {
    "tabular": "a table of numbers, one row a patient, from a CSV file",
    "images": "small images and a convolutional network",
    "text": "lines of text and a recurrent network",
    "lora": "a frozen model and learned adapters",
}
_FILES = ("task.py", FILE)
_COLUMNS = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave_points", "symmetry",
    "fractal_dimension", "malignant",
)  # fmt: skip


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--template", type=click.Choice(list(TEMPLATES)), default="tabular", show_default=True,
    help="; ".join(f"{name}: {about}" for name, about in TEMPLATES.items()) + ".",
)  # fmt: skip
def new(folder: Path, template: str) -> None:
    """Start a project of your own: a task.py that works as it is, and a federation.toml of options.

    Then, in that folder: `fl-platform task check`, `fl-platform rehearse`, `fl-platform run`.

    Example: fl-platform new mine --template tabular
    """
    there = [name for name in (*_FILES, "rows.csv") if (folder / name).exists()]
    if there:
        raise ConfigError(f"{folder} has a {there[0]} already; name a new folder, or move it away")
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).resolve().parents[1] / "templates" / template
    for name in _FILES:
        shutil.copyfile(source / name, folder / name)
    if template == "tabular":
        _write_rows(folder / "rows.csv")
    click.echo(f"{folder} holds a project that works as it is ({TEMPLATES[template]}); next, in that folder:")
    click.echo("  fl-platform task check     one round: losses, bytes, gas, minutes")
    click.echo("  fl-platform rehearse       the whole task in this process, without a wallet")
    click.echo("  fl-platform run            the same with contracts, payouts and an audit")


def _write_rows(path: Path) -> None:
    """Write the sample rows: Wisconsin's breast cancer data, which scikit-learn carries (CC BY 4.0)."""
    import importlib.util

    package = importlib.util.find_spec("sklearn")
    home = Path(package.origin).parent if package and package.origin else Path()
    table = home / "datasets" / "data" / "breast_cancer.csv"
    if not table.is_file():
        raise ConfigError("the sample rows are scikit-learn's, which has none here; use --template images")
    last = len(_COLUMNS) - 1
    lines = [",".join(_COLUMNS)]
    for line in table.read_text().splitlines()[1:]:
        *values, benign = line.split(",")
        lines.append(",".join([*values[:last], str(1 - int(benign))]))
    path.write_text("\n".join(lines) + "\n")
