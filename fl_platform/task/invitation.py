"""What a stranger needs to take part in a task, in one file: network, contracts, store, task, and the way for orders.

TOML, written by the owner or the aggregator, read by whoever joins. It holds no secret and decides nothing: the rules
are those on chain, whose digest it repeats so that a person can compare it over the telephone. Untrusted: sizes and
types are checked before anything is used, and the code on chain is compared with this package's.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fl_platform.errors import DocumentInvalid

FORMAT = "fl-platform/invitation/1"
MAX_BYTES = 256 * 1024
_LONGEST = {
    "network": 512, "store": 512, "reference": 128, "code": 128, "code_name": 64, "superlink": 300, "authority": 16_384,
    "deployment": 64 * 1024,
}  # fmt: skip
_ADDRESS = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}")
_NEEDED = ("network", "deployment")
_TOGETHER = (("superlink", "authority"), ("code", "code_name"))


@dataclass(frozen=True)
class Invitation:
    """An invitation to one task."""

    task: int
    rules: bytes  # digest of the frozen rules, 32 bytes
    network: str  # a name, or the URL of an RPC end point
    chain_id: int
    deployment: str  # the deployment file's text: where the contracts stand
    store: str  # in the words of --store; empty: the joiner chooses
    reference: str = ""  # CID of the binding of whoever signs the reference; empty: the task has none
    code: str = ""  # CID of the owner's learning code, one Python file; empty: a public data set's, or sent another way
    code_name: str = ""  # its file name, as in task.py
    superlink: str = ""  # HOST:PORT of the aggregator's Flower SuperLink; empty: orders come through a socket
    authority: str = ""  # PEM of the authority that signed the SuperLink's certificate

    def with_superlink(self, address: str, authority: str) -> Invitation:
        """Return the invitation with the way for orders."""
        return replace(self, superlink=address, authority=authority)

    def to_text(self) -> str:
        """Return the file's text."""
        lines = [
            "# An invitation to a paid learning task: `fl-platform join FILE --data module:NAME`.",
            f"# Compare the rules' digest with the owner's, by another way than this file's: 0x{self.rules.hex()}",
            f'format = "{FORMAT}"',
            f"task = {self.task}",
            f'rules = "0x{self.rules.hex()}"',
            f"chain_id = {self.chain_id}",
        ]
        texts = {name: getattr(self, name) for name in _LONGEST}
        lines += [f"{name} = {quoted(value)}" for name, value in texts.items() if value]
        return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """Write a string as JSON does; TOML reads it alike, but for surrogate pairs and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_invitation(path: Path) -> Invitation:
    """Read a file (untrusted). Raises DocumentInvalid naming the field, OSError."""
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise DocumentInvalid(f"{path} has more than {MAX_BYTES} bytes: it is no invitation")
    return parse_invitation(data, str(path))


def parse_invitation(data: bytes, where: str) -> Invitation:
    """Read an invitation's bytes (untrusted). Raises DocumentInvalid."""
    try:
        found: dict[str, Any] = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise DocumentInvalid(
            f"{where} is no invitation ({error}): ask who invited you for the file of `fl-platform task invite`"
        ) from error
    if found.pop("format", None) != FORMAT:
        raise DocumentInvalid(f"{where} is no invitation of this version: its format must be {FORMAT}")
    rules = _text(found, "rules", 66, where)
    if len(rules) != 66 or not rules.startswith("0x"):
        raise DocumentInvalid(f"{where}: rules must be 0x and 64 hexadecimal digits")
    try:
        digest = bytes.fromhex(rules[2:])
    except ValueError as error:
        raise DocumentInvalid(f"{where}: rules must be 0x and 64 hexadecimal digits") from error
    made = Invitation(
        task=_number(found, "task", where),
        rules=digest,
        chain_id=_number(found, "chain_id", where),
        **{name: _text(found, name, longest, where, needed=name in _NEEDED) for name, longest in _LONGEST.items()},
    )
    if found:
        raise DocumentInvalid(f"{where}: {sorted(found)[0]!r} is no field of an invitation")
    for first, second in _TOGETHER:
        if bool(getattr(made, first)) != bool(getattr(made, second)):
            raise DocumentInvalid(f"{where}: {first} and {second} go together")
    _check_way(made, where)
    return made


def _check_way(made: Invitation, where: str) -> None:
    """Refuse before a stake is locked what no node could use, and what a terminal would obey."""
    if made.superlink and not _ADDRESS.fullmatch(made.superlink):
        raise DocumentInvalid(f"{where}: superlink must be HOST:PORT, not {made.superlink!r}")
    if not made.authority:
        return
    from cryptography import x509  # only for who reads a file

    try:
        x509.load_pem_x509_certificate(made.authority.encode())
    except ValueError as error:
        raise DocumentInvalid(f"{where}: authority is no certificate in PEM ({error})") from error


def _number(found: dict[str, Any], name: str, where: str) -> int:
    value = found.pop(name, None)
    if type(value) is not int or not 0 < value < 2**63:
        raise DocumentInvalid(f"{where}: {name} must be a positive integer")
    return value


def _text(found: dict[str, Any], name: str, longest: int, where: str, *, needed: bool = True) -> str:
    value = found.pop(name, None)
    if value is None and not needed:
        return ""
    if not isinstance(value, str) or not value or len(value) > longest:
        raise DocumentInvalid(f"{where}: {name} must be a text of 1 to {longest} characters")
    return value
