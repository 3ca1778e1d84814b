"""An invitation says when its store is a folder that nobody else can read."""

from __future__ import annotations

import pytest

from fl_platform.cli.invite import reaches_others


@pytest.mark.parametrize(
    ("store", "reaches"),
    [
        ("", False),
        ("disk", False),
        ("disk:/srv/store", False),
        ("disk, disk:/srv", False),
        ("http://10.0.0.7:8790", True),
        ("disk,http://10.0.0.7:8790", True),
        ("ipfs", True),
    ],
)
def test_folders_reach_nobody_else(store: str, reaches: bool) -> None:
    assert reaches_others(store) is reaches
