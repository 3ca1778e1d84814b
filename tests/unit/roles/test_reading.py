"""A bundle is refused before its size costs anything: its Gram rows are bounded by what the chain says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.roles.reading import ROWS_OVER, check_rows
from tests.adversarial.test_x_hostile_documents import BUNDLE


def with_rows(*names: str) -> RoundBundle:
    return replace(BUNDLE, rows=names)


def test_rows_up_to_the_limit_are_read() -> None:
    check_rows(with_rows(*(str(i) for i in range(3 + ROWS_OVER))), 3)


def test_one_row_more_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match=f"{4 + ROWS_OVER} Gram rows .* for 3 entries on chain"):
        check_rows(with_rows(*(str(i) for i in range(4 + ROWS_OVER))), 3)


def test_a_row_named_twice_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match="2 Gram rows \\(1 of them different\\)"):
        check_rows(with_rows("a", "a"), 3)
