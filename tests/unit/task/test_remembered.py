"""A folder remembers network and store once, and the newest invitation to each task."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.errors import ConfigError, DocumentInvalid
from fl_platform.flower.keys import create_certificates
from fl_platform.task.invitation import Invitation
from fl_platform.task.remembered import keep_invitation, kept_invitation, remember, settings

with tempfile.TemporaryDirectory() as folder:
    AUTHORITY = create_certificates(Path(folder)).authority.read_text()
MADE = Invitation(3, b"\x07" * 32, "http://10.0.0.1:8545", 31337, "{}", "http://10.0.0.2:8790")


def test_it_is_written_once(tmp_path: Path) -> None:
    assert settings(tmp_path) == {}
    assert remember(tmp_path, network='http://10.0.0.1:8545/"x', store="http://10.0.0.2:8790")
    assert not remember(tmp_path, network="sepolia")
    assert settings(tmp_path) == {"network": 'http://10.0.0.1:8545/"x', "store": "http://10.0.0.2:8790"}


@pytest.mark.parametrize("text", ["network = 5", "color = 'red'", "network = ''", "network", "\xff"])
def test_a_file_that_was_edited_into_something_else_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.toml").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"settings\.toml"):
        settings(tmp_path)


def test_the_newest_invitation_is_kept(tmp_path: Path) -> None:
    assert kept_invitation(tmp_path, 3, MADE.rules) is None
    keep_invitation(tmp_path, MADE)
    newer = replace(MADE, code="bafy", code_name="task.py").with_superlink("h:1", AUTHORITY)
    keep_invitation(tmp_path, newer)
    assert kept_invitation(tmp_path, 3, MADE.rules) == newer
    (path,) = (tmp_path / "invitations").iterdir()
    path.write_text("format = 1")
    with pytest.raises(DocumentInvalid):
        kept_invitation(tmp_path, 3, MADE.rules)


def test_a_file_that_is_only_looked_at_moves_no_trainer_to_another_superlink(tmp_path: Path) -> None:
    """Rules and contracts of a task are public: anybody writes an invitation with a way of their own."""
    joined = MADE.with_superlink("aggregator:1", AUTHORITY)
    keep_invitation(tmp_path, MADE, takes_over=False)
    assert keep_invitation(tmp_path, joined, takes_over=False) == joined  # what was not known is learned
    hostile = MADE.with_superlink("stranger:1", AUTHORITY)
    assert keep_invitation(tmp_path, hostile, takes_over=False) == joined
    assert kept_invitation(tmp_path, 3, MADE.rules) == joined
    keep_invitation(tmp_path, hostile)  # whoever joins by it wants it
    assert kept_invitation(tmp_path, 3, MADE.rules) == hostile


def test_a_task_of_that_number_elsewhere_leaves_it_alone(tmp_path: Path) -> None:
    keep_invitation(tmp_path, MADE)
    keep_invitation(tmp_path, replace(MADE, rules=bytes(32)).with_superlink("stranger:1", AUTHORITY))
    assert kept_invitation(tmp_path, 3, MADE.rules) == MADE
