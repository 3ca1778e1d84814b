"""A sealed round's model as a file that any safetensors reader opens, and what its card says.

Without rows of one's own the file is what was learned, under the names of the module's parameters: the sealed integers
as float32, correctly rounded, the same bytes for everybody. With rows it is the module's whole state: the frozen base
merged in, and running statistics (which are never sent) estimated from those rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fl_platform.chain.types import RoundState
from fl_platform.errors import ConfigError, FLError, RetryError
from fl_platform.judging.admit import ADMITTED, REFERENCE
from fl_platform.ledger.history import TaskHistory
from fl_platform.protocol.bundle import sha256
from fl_platform.protocol.spec import NO_BASE, TaskSpec
from fl_platform.store.cid import Cid
from fl_platform.store.unixfs import root_codec
from fl_platform.task.reading import TaskReader

if TYPE_CHECKING:
    from torch import nn

    from fl_platform.learning.evaluation import Measured
    from fl_platform.learning.task import LearningTask
    from fl_platform.updates.tensors import Tensors


@dataclass(frozen=True)
class Part:
    """What one party had in the rounds up to the model."""

    address: bytes
    in_sum: int  # rounds whose sum holds its update
    refused: Mapping[str, int]  # verdict code -> rounds; codes are the aggregators' words, unverified


@dataclass(frozen=True)
class Own:
    """What rows of one's own added."""

    measured: Measured
    statistics: bool  # running statistics were estimated from them
    base: bool  # the frozen base was merged in


@dataclass(frozen=True)
class Release:
    """A model to hand on."""

    task: int
    round: int
    spec: TaskSpec
    chain_id: int
    ledger: bytes
    state: RoundState  # of the round: SEALED (can be challenged), CHALLENGED or FINAL
    final_at: int  # block time, seconds
    bundle: bytes  # digest, as sealed
    root: bytes  # content root of its integers, as sealed
    model: bytes  # digest of their file, as the bundle says
    cid: Cid  # of the sealed object
    aggregators: Mapping[bytes, int]  # who sealed how many of the rounds
    parts: tuple[Part, ...]  # trainers, by address
    unread: tuple[str, ...]  # rounds whose bundle could not be had, with the reason
    own: Own | None  # None: the file holds what was learned, and no more
    data: bytes  # the file

    @property
    def sha256(self) -> bytes:
        """Of the file."""
        return sha256(self.data)

    @property
    def refused(self) -> Mapping[str, int]:
        """Updates that are in no sum, by verdict code."""
        total: Counter[str] = Counter()
        for part in self.parts:
            total.update(part.refused)
        return total


def release(
    reader: TaskReader, round_number: int | None = None, *, now: int, own: LearningTask | None = None
) -> Release:
    """Return the model that a round was sealed with; None: the last sealed round.

    `now`: block time; `own`: model, rows and metric of whoever asks. Raises ConfigError when the round is not sealed or
    `own` is of another model, StoreMissing, CidMismatch, DocumentInvalid, TaskCodeError.
    """
    from fl_platform.updates import floats_of, model_length

    history, spec = reader.history(), reader.spec
    number = _sealed_round(history, round_number)
    bundle = reader.bundle(number)
    seal, final_at = history.rounds[number].seal, history.final_at(number)
    assert seal is not None
    assert final_at is not None
    floats = floats_of(reader.require_model(bundle.after.model, seal.model), spec.model)
    data = _floats_file(floats)
    added = None if own is None else _whole(reader, floats, own)
    aggregators, parts, unread = _history_of(reader, number)
    return Release(
        task=reader.task,
        round=number,
        spec=spec,
        chain_id=reader.domain.chain_id,
        ledger=reader.domain.ledger,
        state=history.state(number, now),
        final_at=final_at,
        bundle=seal.bundle,
        model=bundle.after.model,
        root=seal.model,
        cid=Cid(root_codec(model_length(spec.model)), bundle.after.model),
        aggregators=aggregators,
        parts=parts,
        unread=unread,
        own=added[0] if added else None,
        data=added[1] if added else data,
    )


def _sealed_round(history: TaskHistory, wanted: int | None) -> int:
    sealed = [record.number for record in history.rounds if record.seal is not None and not record.void]
    if not sealed:
        raise ConfigError(f"task {history.task}: no round is sealed yet, so there is no model")
    if wanted is not None and wanted not in sealed:
        raise ConfigError(f"task {history.task}: round {wanted} is not sealed; the last sealed round is {sealed[-1]}")
    return sealed[-1] if wanted is None else wanted


def _whole(reader: TaskReader, floats: Tensors, own: LearningTask) -> tuple[Own, bytes]:
    """Measure the model on one's own rows and return its whole state, statistics and base with it."""
    from fl_platform.learning.evaluation import measure
    from fl_platform.learning.machine import CPU
    from fl_platform.learning.statistics import has_batch_statistics
    from fl_platform.learning.train import Bench, build_module

    bench, base = Bench(), reader.base(lambda: build_module(own))
    measured = measure(own, floats, machine=CPU, bench=bench, base=base)
    module = bench.module(own, CPU, base)  # the one that was measured
    return Own(measured, has_batch_statistics(module), reader.spec.base_model != NO_BASE), _state_file(module)


def _floats_file(state: Tensors) -> bytes:
    """Return a model's numbers as a safetensors file of float32."""
    from safetensors.numpy import save

    return save(dict(state))


def _state_file(module: nn.Module) -> bytes:
    """Return a module's state as a safetensors file; tied parameters are in it under each of their names.

    Raises ConfigError for a state that holds anything but tensors.
    """
    import torch
    from safetensors.torch import save

    state = module.state_dict()
    odd = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if odd:
        raise ConfigError(f"the module's state holds {odd[0]!r}, which is no tensor: release it without your own rows")
    plain = torch.contiguous_format
    return save({name: value.detach().cpu().clone(memory_format=plain) for name, value in state.items()})


def _history_of(reader: TaskReader, last: int) -> tuple[dict[bytes, int], tuple[Part, ...], tuple[str, ...]]:
    """Read who sealed, who took part and what was refused in the rounds up to the last."""
    aggregators: Counter[bytes] = Counter()
    in_sum: Counter[bytes] = Counter()
    refused: dict[bytes, Counter[str]] = {}
    unread: list[str] = []
    for number in range(last + 1):
        try:
            bundle = reader.bundle(number)
        except RetryError:
            raise
        except FLError as error:
            unread.append(f"round {number}: {error}")
            continue
        aggregators[bundle.aggregator] += 1
        for verdict in bundle.verdicts:
            if verdict.code != REFERENCE:
                refused.setdefault(verdict.trainer, Counter())
                if verdict.code == ADMITTED:
                    in_sum[verdict.trainer] += 1
                else:
                    refused[verdict.trainer][verdict.code] += 1
    parts = tuple(Part(who, in_sum[who], refused[who]) for who in sorted(refused))
    return aggregators, parts, tuple(unread)
