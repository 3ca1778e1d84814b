"""The health insurance experiment: what the table holds, how it is split, and that damage is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from fl_platform.errors import ConfigError, DocumentInvalid
from fl_platform.learning import randhie
from fl_platform.learning.randhie import COLUMNS, FEATURES, PersonYears, load_person_years, load_randhie_split

HEADING = ("plan", "site", "zper", "mdvis", *COLUMNS)


@pytest.fixture(scope="module")
def table() -> PersonYears:
    return load_person_years()


def write(folder: Path, *rows: dict[str, object], heading: tuple[str, ...] = HEADING) -> Path:
    """Write a table with one row of each site and then `rows`; what a row leaves out is 1."""
    whole = [{"site": site, "zper": 100 * site} for site in range(1, 7)] + list(rows)
    lines = [",".join(str(row.get(name, 1)) for name in heading) for row in whole]
    path = folder / "randhie.csv"
    path.write_text("\n".join([",".join(heading), *lines]) + "\n", encoding="utf-8")
    return path


def test_the_table_is_the_published_one(table: PersonYears) -> None:
    assert table.rows.x.shape == (20_190, FEATURES) == (20_190, 17)
    assert (table.rows.x.dtype, table.rows.y.dtype) == (np.float32, np.int64)
    assert len(np.unique(table.person)) == 5_912
    assert np.bincount(table.site).tolist() == [4462, 4036, 2436, 3090, 2595, 3571]
    # The person's number begins with its site's.
    assert np.array_equal(table.person // 100_000, table.site + 1)
    rates = [table.rows.y[table.site == site].mean() for site in range(6)]
    assert (min(rates), max(rates)) == pytest.approx((0.26, 0.43), abs=0.005)


def test_scaled_columns_are_of_one_size(table: PersonYears) -> None:
    means, spreads = table.rows.x.mean(axis=0), table.rows.x.std(axis=0)
    assert (np.abs(means) < 1.1).all()
    assert ((spreads > 0.2) & (spreads < 1.3)).all()


def test_a_fifth_of_each_site_s_people_is_held_out_with_all_their_years(table: PersonYears) -> None:
    split = load_randhie_split(3)
    assert split.origin is not None
    held = np.setdiff1d(table.person, split.origin.unit)
    assert len(split.train) + len(split.test) == len(table.rows)
    assert len(split.test) == np.isin(table.person, held).sum()
    for site in range(6):
        people = np.unique(table.person[table.site == site])
        assert np.isin(held, people).sum() == len(people) // 5
    assert np.array_equal(split.origin.unit // 100_000, split.origin.part + 1)
    assert np.array_equal(load_randhie_split(3).test.x, split.test.x)
    assert not np.array_equal(load_randhie_split(4).test.y, split.test.y)


def test_columns_are_found_by_name_and_a_missing_value_is_the_centre(tmp_path: Path) -> None:
    read = load_person_years(write(tmp_path, {"site": 2, "zper": 7, "mdvis": 3, "educdec": "", "xage": 50}))
    assert (read.person[-1], read.site[-1], read.rows.y[-1], read.rows.y[0]) == (7, 1, 1, 0)
    row = dict(zip(COLUMNS, read.rows.x[-1].tolist(), strict=True))
    assert (row["educdec"], row["xage"], row["female"]) == (0, 1, 1)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"xage": "old"}, "damaged"),
        ({"xage": "nan"}, "not finite"),
        ({"xage": "1e999"}, "not finite"),
        ({"site": 7}, "sites"),
        ({"site": ""}, "sites"),
        ({"xage": "\u00e4"}, "not the experiment's table"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, row: dict[str, object], words: str) -> None:
    with pytest.raises(DocumentInvalid, match=words):
        load_person_years(write(tmp_path, row))


def test_another_table_and_a_torn_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentInvalid, match="zper"):
        load_person_years(write(tmp_path, heading=("plan", "site")))
    torn = write(tmp_path)
    torn.write_text(torn.read_text()[:-9])
    with pytest.raises(DocumentInvalid, match="not the experiment's table"):
        load_person_years(torn)
    torn.write_text("")
    with pytest.raises(DocumentInvalid, match="not the experiment's table"):
        load_person_years(torn)


def test_without_statsmodels_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = importlib.util.find_spec("statsmodels")
    assert real is not None
    monkeypatch.setattr(randhie.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"fl-platform\[data\]"):
        load_randhie_split()
    monkeypatch.setattr(real, "origin", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(randhie.importlib.util, "find_spec", lambda name: real)
    with pytest.raises(ConfigError, match=r"no randhie.csv .*fl-platform\[data\]"):
        load_randhie_split()
