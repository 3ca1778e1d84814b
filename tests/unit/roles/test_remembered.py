"""A folder remembers network and store once, and the newest invitation to each task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.errors import ConfigError, DocumentInvalid
from fl_platform.roles.invitation import Invitation
from fl_platform.roles.remembered import keep_invitation, kept_invitation, remember, settings

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
    assert kept_invitation(tmp_path, 3) is None
    keep_invitation(tmp_path, MADE)
    newer = replace(MADE, code="bafy", code_name="task.py").with_superlink("h:1", "PEM")
    keep_invitation(tmp_path, newer)
    assert kept_invitation(tmp_path, 3) == newer
    (tmp_path / "invitations" / "3.toml").write_text("format = 1")
    with pytest.raises(DocumentInvalid):
        kept_invitation(tmp_path, 3)
