"""Parameters per CPU second of our exact sum, from store bytes with hash check, against flwr's aggregate on float32.

Ours: every update's CID is recomputed over its bytes (SHA-256 in the store's tree), its header and range are checked,
and the weighted integer sum is taken, streamed. flwr 1.41: `flwr.server.strategy.aggregate.aggregate` over float32
arrays that already lie in memory, unhashed and unchecked, and `aggregate_arrayrecords`, which its FedAvg of today
calls.

Two conditions, as neither alone is fair: "steady" (both warmed up in one process, taken in turn, best of several) and
"first" (one call in a fresh process with the updates in memory: what one round costs a server whose memory is not yet
there; flwr allocates 4 n d bytes for it). SHA-256 alone bounds our figure, whatever the sum costs: the row "of which
hashing" says how much of it that is, "neither side hashed" and "both sides hashed" compare like with like. Decryption
and the Gram matrix are rows of their own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.server.strategy.aggregate import aggregate as flwr_aggregate
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords

from fl_platform.aggregation.gram import GramRow, gram_matrix
from fl_platform.aggregation.sums import Sums, weighted_sum
from fl_platform.learning import build_model, model_spec
from fl_platform.protocol.spec import ModelSpec, ScaleSpec
from fl_platform.store import unixfs
from fl_platform.store.cid import Cid
from fl_platform.store.disk import DiskStore
from fl_platform.store.envelope import key_hash, seal, unseal
from fl_platform.updates import decode_update, pack_update, update_length
from fl_platform.updates.tensors import Integers
from scripts.bench.harness import Row, at_most, cpu_seconds, paired_cpu_time, peak_memory_bytes

BARS = {8: 3.0, 16: 2.0}
COUNTS = (10, 100)
GRAM_COUNTS = (10, 100)
MODEL = "mnist-cnn"  # 1,663,370 parameters
Arrays = list[tuple[list["np.ndarray[tuple[int, ...], np.dtype[np.float32]]"], int]]


@dataclass(frozen=True)
class Stored:
    """One update as a store holds it."""

    cid: Cid
    data: bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark; --child is how it calls itself."""
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure every width and number of updates; the quick run leaves out n = 100."""
    if args.child:
        yield _child(args.child)
        return
    counts = COUNTS[:1] if args.quick else COUNTS
    for bits in BARS:
        for count in counts:
            yield from _speed_rows(bits, count, quick=bool(args.quick))
    yield from (_memory_row(bits) for bits in BARS if not args.quick)
    yield from (_gram_row(bits, count) for bits in BARS for count in (counts if args.quick else GRAM_COUNTS))


def _spec() -> ModelSpec:
    return model_spec(build_model(MODEL), MODEL)


def _stored(model: ModelSpec, bits: int, count: int) -> list[Stored]:
    """Make updates with a spread like the codec's: a 32nd of the range at int8, a 256th at int16."""
    rng = np.random.default_rng(count)
    updates = []
    for _ in range(count):
        values = np.rint(rng.standard_normal(model.size, dtype=np.float32) * (4 if bits == 8 else 128))
        data = pack_update(values.astype(np.int8 if bits == 8 else np.int16), model=model, bits=bits)
        updates.append(Stored(unixfs.cid_of(data), data))
    return updates


def _floats(model: ModelSpec, count: int) -> Arrays:
    rng = np.random.default_rng(count)
    return [([rng.standard_normal(t.shape, dtype=np.float32) for t in model.tensors], 600) for _ in range(count)]


def _weights(count: int, *, equal: bool) -> list[int]:
    """Weights as `aggregation.weights` makes them: they sum to at most 2^16."""
    return [65_536 // count - (0 if equal else i % 7) for i in range(count)]


def _sum(updates: Sequence[Stored], weights: Sequence[int], model: ModelSpec, bits: int) -> Sums:
    """Hash, check and add."""

    def source(index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.signedinteger]]:
        item = updates[index]
        if unixfs.cid_of(item.data) != item.cid:
            raise AssertionError("the benchmark's own update is broken")
        return decode_update(item.data, model=model, bits=bits)

    return weighted_sum(range(len(updates)), weights, source, size=model.size, bits=bits)


def _records(floats: Arrays) -> list[RecordDict]:
    return [
        RecordDict({"arrays": ArrayRecord(list(arrays)), "metrics": MetricRecord({"num-examples": samples})})
        for arrays, samples in floats
    ]


def _speed_rows(bits: int, count: int, *, quick: bool) -> list[Row]:
    """Ours against theirs under each condition; each pair is timed in turn."""
    model, name = _spec(), f"int{bits} n={count}"
    updates, floats = _stored(model, bits, count), _floats(model, count)
    equal, unequal = _weights(count, equal=True), _weights(count, equal=False)
    plain = [decode_update(u.data, model=model, bits=bits) for u in updates]
    records = _records(floats)
    blocks = [b"".join(array.tobytes() for array in arrays) for arrays, _ in floats]
    total, bar, theirs = count * model.size, BARS[bits], "flwr aggregate, float32 in memory"

    def ours() -> object:
        return _sum(updates, equal, model, bits)

    def unhashed() -> object:
        return weighted_sum(range(count), equal, plain.__getitem__, size=model.size, bits=bits)

    def flwr() -> object:
        return flwr_aggregate(floats)

    pairs: list[tuple[str, Callable[[], object], str, Callable[[], object], float | None]] = [
        ("steady", ours, theirs, flwr, bar),
        ("steady, unequal weights", lambda: _sum(updates, unequal, model, bits), theirs, flwr, None),
        ("steady, FedAvg's own", ours, "flwr aggregate_arrayrecords",
         lambda: aggregate_arrayrecords(records, "num-examples"), None),
        ("neither side hashed", unhashed, theirs, flwr, bar),
        ("both sides hashed", ours, f"{theirs}, CIDs checked",
         lambda: ([unixfs.cid_of(block) for block in blocks], flwr_aggregate(floats)), None),
        ("of which hashing", ours, "the CIDs alone", lambda: [unixfs.cid_of(u.data) for u in updates], None),
    ]  # fmt: skip
    rows = []
    for label, mine, reference, other, limit in pairs:
        times = paired_cpu_time(mine, other, repeats=3 if quick or count > 50 else 7)
        rows.append(_speed(f"{name} {label}", total, times.value, reference, times.reference, bar=limit))
    first, second = (_in_fresh_process(f"{who}:{bits}:{count}") for who in ("ours", "flwr"))
    rows.insert(1, _speed(f"{name} first", total, first, theirs, second, bar=bar))
    rows.append(_sealed_row(name, updates[:10], equal[:10], model, bits))
    return rows


def _speed(
    case: str, total: int, seconds: float, reference: str, reference_seconds: float, *, bar: float | None = None
) -> Row:
    ratio = reference_seconds / seconds
    return Row(
        case, total / seconds / 1e6, "M parameters/CPU-s", reference, total / reference_seconds / 1e6, ratio,
        None if bar is None else f">= {bar:g}", None if bar is None else ratio >= bar,
    )  # fmt: skip


def _sealed_row(name: str, updates: Sequence[Stored], weights: Sequence[int], model: ModelSpec, bits: int) -> Row:
    """The same sum with decryption of every update's envelope, as the aggregator runs it."""
    key = bytes(range(32))
    sealed = [Stored(unixfs.cid_of(s), s) for s in (seal(u.data, key=key).data for u in updates)]

    def source(index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.signedinteger]]:
        item = sealed[index]
        if unixfs.cid_of(item.data) != item.cid:
            raise AssertionError("the benchmark's own update is broken")
        plain = unseal(item.data, key=key, expected_key_hash=key_hash(key))
        return decode_update(plain, model=model, bits=bits)

    def whole() -> Sums:
        return weighted_sum(range(len(sealed)), weights, source, size=model.size, bits=bits)

    times = paired_cpu_time(whole, lambda: _sum(updates, weights, model, bits), repeats=3)
    total = len(sealed) * model.size
    return _speed(f"{name} with decryption", total, times.value, "without", times.reference)


def _gram_row(bits: int, count: int) -> Row:
    model = _spec()
    integers = [decode_update(u.data, model=model, bits=bits) for u in _stored(model, bits, count)]
    scale = ScaleSpec(128, 0, (0,) * len(model.tensors))
    rows = [GramRow(str(i), i, bits) for i in range(count)]
    floats = np.stack([i.astype(np.float32) for i in integers[:10]])
    times = paired_cpu_time(
        lambda: gram_matrix(rows, integers.__getitem__, model=model, scale=scale), lambda: floats @ floats.T, repeats=2
    )
    return Row(
        f"Gram matrix int{bits} n={count}, exact", count * model.size / times.value / 1e6, "M parameters/CPU-s",
        "inexact float32 product of 10 rows", 10 * model.size / times.reference / 1e6,
    )  # fmt: skip


def _memory_row(bits: int) -> Row:
    """Peak memory of a whole aggregation from a disk store, in processes of their own: flat in n."""
    few, many = (_in_fresh_process(f"memory:{bits}:{count}") for count in COUNTS)
    return at_most(
        f"int{bits} peak memory n={COUNTS[1]}", many / 1e6, 1.05, unit="MB", reference=f"n={COUNTS[0]}",
        reference_value=few / 1e6, ratio=many / few,
    )  # fmt: skip


def _in_fresh_process(task: str) -> float:
    """Run one measurement three times in processes of their own; return the least."""
    script = Path(__file__).resolve().parents[1] / "benchmark.py"
    figures = []
    for _ in range(1 if task.startswith("memory") else 3):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out.json"
            command = [sys.executable, str(script), "aggregate", "--child", task, "--json", str(out)]
            subprocess.run(command, check=True, capture_output=True)
            figures.append(float(json.loads(out.read_text(encoding="utf-8"))["rows"][0]["value"]))
    return min(figures)


def _child(task: str) -> Row:
    who, bits_text, count_text = task.split(":")
    bits, count, model = int(bits_text), int(count_text), _spec()
    if who == "memory":
        return Row(task, _disk_memory(model, bits, count), "bytes")
    call: Callable[[], object]
    if who == "ours":
        updates, weights = _stored(model, bits, count), _weights(count, equal=True)
        call = lambda: _sum(updates, weights, model, bits)  # noqa: E731
    else:
        floats = _floats(model, count)
        call = lambda: flwr_aggregate(floats)  # noqa: E731
    return Row(task, cpu_seconds(call), "CPU-s")


def _disk_memory(model: ModelSpec, bits: int, count: int) -> int:
    """Put `count` updates into a disk store one by one, sum them from there, return the peak of this process."""
    length = update_length(model.size, bits)
    with tempfile.TemporaryDirectory() as folder:
        store = DiskStore(Path(folder), durable=False)
        rng = np.random.default_rng(1)
        cids = []
        for _ in range(count):
            values = rng.integers(-100, 101, model.size)
            narrow: Integers = values.astype(np.int8 if bits == 8 else np.int16)
            cids.append(store.put(pack_update(narrow, model=model, bits=bits)))
        weighted_sum(
            range(count), _weights(count, equal=False),
            lambda i: decode_update(store.get(cids[i], max_bytes=length), model=model, bits=bits),
            size=model.size, bits=bits,
        )  # fmt: skip
        return _own_peak_bytes()


def _own_peak_bytes() -> int:
    """Peak resident memory of this program alone: Linux' ru_maxrss keeps the parent's figure across fork and exec."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_memory_bytes()



