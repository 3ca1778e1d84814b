"""The RAND Health Insurance Experiment: six American sites that each hold too few people, the second demo's data.

From 1974 to 1982 families of six places were given insurance plans by lot, and what medicine they used was counted.
20,190 rows, one a person and year, of 5,912 people; the data are in the public domain and come with statsmodels. The
ten columns of its `randhie.csv` have neither place nor person; the source table that it installs beside that,
`randhie/src/randhie.csv`, has both.

Label: the person saw a physician three times or more in the year, which is more often than the mean (2.86). Base rates
by site run from .26 to .43. Features: the 17 of the model that Cameron and Trivedi fit to these data (2005, chapter 20
of Microeconometrics): insurance plan, health at the start, income, family, schooling, age, sex, race. They do not say
who will fall ill, so that most of the label cannot be known: the area under the curve is .68 where all rows are pooled.

Columns are scaled by the constants below, which follow from what a column means (a share, years, a logarithm's range).
Nothing is estimated from rows: a mean over all sites would be a figure that no site may learn from the others.

Split by person, since the years of one person are alike: a fifth of the people of every site, seeded, is held out, and
their rows, pooled, are everybody's test rows. The columns of a family are alike, too, but the table does not say who is
one.
"""

from __future__ import annotations

import csv
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fl_platform.errors import ConfigError, DocumentInvalid
from fl_platform.learning.datasets import Labelled, Origin, Split

SITES = 6
VISITS = 3  # face-to-face visits to a physician in a year, from which the label is 1
HELD_OUT = 5  # one person in so many of each site is tested on

# Column -> (centre, scale). A feature is (value - centre) / scale; a missing value is the centre.
COLUMNS = {
    "logc": (2.3, 2.3),  # ln(1 + coinsurance in percent): 0 to 4.6
    "idp": (0.5, 0.5),  # individual deductible plan
    "lpi": (3.5, 3.5),  # ln of the yearly payment for taking part: 0 to 7
    "fmde": (4.0, 4.0),  # ln of the greatest expenditure over coinsurance: 0 to 8
    "physlm": (0.5, 0.5),  # physical limitation
    "disea": (10.0, 10.0),  # index of chronic diseases, 0 to 60
    "hlthg": (0.5, 0.5),  # health rated good by the person itself, as are fair and poor; excellent is left out
    "hlthf": (0.5, 0.5),
    "hlthp": (0.5, 0.5),
    "linc": (9.0, 1.0),  # ln of the family's income in dollars
    "lfam": (1.4, 0.7),  # ln of the family's size
    "educdec": (12.0, 3.0),  # years of schooling of whoever decides; four rows have none
    "xage": (30.0, 20.0),  # years
    "female": (0.5, 0.5),
    "child": (0.5, 0.5),
    "fchild": (0.5, 0.5),  # a girl
    "black": (0.5, 0.5),
}
FEATURES = len(COLUMNS)
_PERSON, _SITE, _VISITS = "zper", "site", "mdvis"


@dataclass(frozen=True)
class PersonYears:
    """The whole table."""

    rows: Labelled  # x: float32 (n, 17), scaled; y: 1 where the person had `VISITS` visits or more
    site: npt.NDArray[np.int64]  # (n,), 0 to 5
    person: npt.NDArray[np.int64]  # (n,), the study's number


def load_randhie_split(seed: int = 0) -> Split:
    """Return the experiment with a fifth of each site's people, drawn by `seed`, to test on.

    `origin` of the split says which site and person a row to learn from is of. Raises ConfigError (statsmodels or its
    table is not there), DocumentInvalid (the table is damaged).
    """
    table = load_person_years()
    generator = np.random.Generator(np.random.Philox(seed))
    drawn = []
    for site in range(SITES):
        people = generator.permutation(np.unique(table.person[table.site == site]))
        drawn.append(people[: len(people) // HELD_OUT])
    held = np.isin(table.person, np.concatenate(drawn))
    learned = np.flatnonzero(~held)
    return Split(
        train=table.rows.take(learned),
        test=table.rows.take(np.flatnonzero(held)),
        origin=Origin(part=table.site[learned], unit=table.person[learned]),
    )


def load_person_years(path: Path | None = None) -> PersonYears:
    """Read the table; `path`: another copy of it. Raises as `load_randhie_split`."""
    file = path or _bundled()
    try:
        with file.open(newline="", encoding="ascii") as lines:
            table = csv.reader(lines)
            heading = {name: place for place, name in enumerate(next(table, ()))}
            places = [heading[name] for name in (_SITE, _PERSON, _VISITS, *COLUMNS)]
            cells = [[row[place] for place in places] for row in table]
    except (KeyError, IndexError, UnicodeDecodeError, csv.Error) as error:
        raise DocumentInvalid(f"{file.name} is not the experiment's table ({error!r}); install it anew") from None
    missing = ("0", "0", "0", *(str(centre) for centre, _ in COLUMNS.values()))
    try:
        values = np.array([[float(cell or usual) for cell, usual in zip(row, missing, strict=True)] for row in cells])
    except ValueError as error:
        raise DocumentInvalid(f"{file.name} is damaged: {error}; install statsmodels anew") from None
    return _person_years(values.reshape(-1, len(places)), file.name)


def _person_years(values: npt.NDArray[np.float64], name: str) -> PersonYears:
    if not np.isfinite(values).all():
        raise DocumentInvalid(f"{name} holds numbers that are not finite; install statsmodels anew")
    site, person, visits = (values[:, column].astype(np.int64) for column in range(3))
    if set(np.unique(site).tolist()) != set(range(1, SITES + 1)):
        raise DocumentInvalid(f"{name} has sites {np.unique(site)[:8].tolist()}, not 1 to {SITES}; install it anew")
    centre, scale = np.array(list(COLUMNS.values())).T
    x = ((values[:, 3:] - centre) / scale).astype(np.float32)
    return PersonYears(Labelled(x, (visits >= VISITS).astype(np.int64)), site - 1, person)


def _bundled() -> Path:
    """Find the table in the installed package; importing that would import pandas, too."""
    package = importlib.util.find_spec("statsmodels")
    if package is None or package.origin is None:
        raise ConfigError(
            "the health insurance experiment comes with statsmodels, which is not installed: "
            "`pip install 'fl-platform[data]'`"
        )
    file = Path(package.origin).parent / "datasets" / "randhie" / "src" / "randhie.csv"
    if not file.is_file():
        raise ConfigError(f"statsmodels has no {file.name} in {file.parent}: `pip install 'fl-platform[data]'` anew")
    return file
