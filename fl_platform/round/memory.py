"""What a trainer's algorithm remembers from round to round (SCAFFOLD's control variate), beside its signed receipts.

One safetensors file a round, named by round and parent. It counts once the receipt for this very parent is signed, so
a crash between training and signing, or a dispute that voids a round, leaves the memory of the last round that stands.
Nobody else ever reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fl_platform.errors import ConfigError
from fl_platform.protocol.messages import Submission, decode_message
from fl_platform.task.atomic_files import write_atomically

_KEPT = 2  # rounds: the last signed one, and the one that is being trained

Arrays = Mapping[str, npt.NDArray[np.float32]]


def keep_memory(folder: Path, round_number: int, parent: bytes, memory: Arrays) -> None:
    """Write the memory of a round that is about to be signed; older ones than the last two go. None: nothing is."""
    if not memory:
        return
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.array(value) for name, value in memory.items()}
    write_atomically(_path(folder, round_number, parent), save(arrays))
    numbers = sorted({_number(path) for path in folder.glob("memory-*.safetensors")}, reverse=True)
    for path in folder.glob("memory-*.safetensors"):
        if _number(path) not in numbers[:_KEPT]:
            path.unlink(missing_ok=True)


def memory_before(folder: Path, round_number: int) -> Arrays:
    """Return the memory of the newest signed round before this one; empty when there is none.

    Raises ConfigError when its file is damaged.
    """
    for number in range(round_number - 1, -1, -1):
        receipt = folder / f"round-{number}.json"
        if not receipt.exists():
            continue
        signed = decode_message(receipt.read_bytes(), expected=Submission)
        assert isinstance(signed, Submission)
        return _read(_path(folder, number, signed.receipt.parent))
    return {}


def _read(path: Path) -> Arrays:
    if not path.exists():
        return {}
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        loaded: Arrays = load(path.read_bytes())
    except (SafetensorError, ValueError) as error:
        raise ConfigError(f"{path} is damaged ({error}); remove it: the algorithm starts anew without it") from error
    return loaded


def _path(folder: Path, round_number: int, parent: bytes) -> Path:
    return folder / f"memory-{round_number}-{parent.hex()[:16]}.safetensors"


def _number(path: Path) -> int:
    return int(path.name.split("-")[1])
