"""A wallet as the reader of updates: only those whom the task's rules name got a key to them.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

from fl_platform.chain.signer import Signer
from fl_platform.errors import ConfigError
from fl_platform.protocol.keypackage import recipients
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import party, reveal_key


def opener_of(reader: TaskReader, signer: Signer, *, else_: str) -> UpdateOpener:
    """Return what opens a task's updates with this wallet. Raises ConfigError when no key was ever wrapped for it.

    `else_` says what its holder can do instead.
    Without this check an audit with a stranger's key would call every update unopened, and honest work a difference.
    """
    named = recipients(reader.spec)
    if party(signer) not in named:
        raise ConfigError(
            f"updates of task {reader.task} were not encrypted for 0x{signer.address.hex()}, but for "
            f"{', '.join('0x' + each.address.hex() for each in named)}; {else_}"
        )
    return UpdateOpener(
        reader.store, domain=reader.domain, spec=reader.spec,
        recipient=signer.address, key=reveal_key(signer),
    )  # fmt: skip
