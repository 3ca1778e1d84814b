"""An invitation comes back from its text, and nothing of a hostile one is used."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_platform.errors import DocumentInvalid
from fl_platform.flower.keys import create_certificates
from fl_platform.task.invitation import MAX_BYTES, Invitation, parse_invitation, read_invitation

with tempfile.TemporaryDirectory() as folder:
    AUTHORITY = create_certificates(Path(folder)).authority.read_text()
MADE = Invitation(
    task=3, rules=bytes(range(32)), network="http://10.0.0.7:8545", chain_id=31337, deployment='{\n "a": "b\\"c"\n}\n',
    store="http://10.0.0.7:9000", reference="bafkreia", superlink="10.0.0.7:9092",
    authority=AUTHORITY,
)  # fmt: skip


def test_an_invitation_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "hospital.toml"
    for made in (MADE, replace(MADE, superlink="", authority="", reference="", store="")):
        path.write_text(made.to_text())
        assert read_invitation(path) == made
        assert "0x" + made.rules.hex() in path.read_text().splitlines()[1]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_text_comes_back(text: str) -> None:
    made = replace(MADE, store=text, deployment=text)
    assert parse_invitation(made.to_text().encode(), "x") == made


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("task = 3", "task = true", "task must be a positive integer"),
        ("task = 3", "task = 0", "task must be a positive integer"),
        ('format = "fl-platform/invitation/1"', 'format = "x"', "its format must be"),
        ("rules = \"0x00", "rules = \"0xzz", "64 hexadecimal digits"),
        ("chain_id = 31337", "", "chain_id must be"),
        ("chain_id = 31337", "chain_id = 31337\nmore = 1", "'more' is no field"),
        ('superlink = "10.0.0.7:9092"', "", "superlink and authority go together"),
        ("10.0.0.7:9092", "--insecure", "superlink must be HOST:PORT"),
        ("10.0.0.7:9092", "a\\u0000b:1", "superlink must be HOST:PORT"),
        ("10.0.0.7:9092", "\\u001b]0;x:1", "superlink must be HOST:PORT"),
        ("BEGIN CERTIFICATE", "BEGIN NOTHING", "authority is no certificate"),
        ('network = "http://10.0.0.7:8545"', f'network = "{"x" * 600}"', "1 to 512 characters"),
        ('network = "http://10.0.0.7:8545"', "network = [1]", "1 to 512 characters"),
        ("task = 3", "task = ", "is no invitation"),
    ],
)
def test_what_is_no_invitation_is_refused_by_field(old: str, new: str, says: str) -> None:
    text = MADE.to_text()
    assert old in text
    with pytest.raises(DocumentInvalid, match=says):
        parse_invitation(text.replace(old, new).encode(), "x")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(DocumentInvalid, match="no invitation"):
        read_invitation(path)
