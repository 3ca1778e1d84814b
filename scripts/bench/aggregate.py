"""Parameters per CPU second from sealed updates in a store to their admitted, exact sum, beside flwr's aggregation.

Ours is the aggregator's own path: check receipt and signatures, read the ciphertext, check its CID and the tree over
its leaves, unwrap the key, decrypt, check content root, header and range; then the weighted integer sum. flwr 1.41:
`flwr.server.strategy.aggregate.aggregate` over float32 arrays that lie in memory, and the same once the CIDs of the
arrays' bytes were checked as ours are; nothing of theirs is sealed, signed or checked otherwise.

Each side runs in processes of its own, with malloc's thresholds fixed alike (without that, flwr's figure depends
threefold on which blocks were freed before), one call unmeasured, then the median of several; of three processes the
median. The parts of the path, its memory and the inner products are rows of their own.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from flwr.server.strategy.aggregate import aggregate as flwr_aggregate

from fl_platform.judging import admit
from fl_platform.judging.admit import OpenedUpdates, RoundContext, admit_entries, seats_of
from fl_platform.judging.round_rows import products
from fl_platform.judging.sums import Sums, weighted_sum
from fl_platform.learning import build_model, model_spec
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.keypackage import package_digest
from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec
from fl_platform.protocol.receipt import Receipt, sign_digest, sign_receipt
from fl_platform.protocol.spec import CodecRule, Party, TaskSpec
from fl_platform.store import unixfs
from fl_platform.store.disk import DiskStore
from fl_platform.store.envelope import encrypt
from fl_platform.store.keywrap import RevealKey
from fl_platform.task import decrypting
from fl_platform.task.decrypting import UpdateOpener, wrap_for_all
from fl_platform.updates import decode_update, pack_update
from fl_platform.updates.content import file_root
from fl_platform.updates.tensors import Integers
from scripts.bench.harness import Parts, Row, at_most, cpu_by_part, cpu_seconds, paired_cpu_time, peak_memory_bytes
from tests.support.rounds import AGGREGATOR, DOMAIN, STAKE, address_of, anchored_spec, private_key
from zk.curve import bn254

WIDTHS = (8, 16)
COUNTS = (10, 100)
MODEL = "mnist-cnn"  # 1,663,370 parameters
BAR = 100.0  # M parameters a CPU-second, sealed bytes to sum, int8
LIKE_BARS = {8: 3.0, 16: 2.0}  # times flwr, the CIDs checked on both sides and nothing else
CALLS, PROCESSES = 5, 3
# As high as glibc lets the first be; the second: freed memory stays with the process. Set, they no longer move.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(8 << 30)}
UNIT = "M parameters/CPU-s"
PARTS: Parts = {
    "receipts and signatures": ((admit, "public_refusals"),),
    "keys": ((decrypting, "unwrap_key"),),
    "read, CIDs checked": ((decrypting, "sealed_update"),),
    "leaf trees": ((decrypting, "check_leaves_root"),),
    "decryption": ((decrypting, "decrypt"),),
    "content roots": ((decrypting, "check_content"),),
    "header and range": ((admit, "check_update"),),
    "sum": ((sys.modules[__name__], "weighted_sum"),),
}

Floats = list[tuple[list["np.ndarray[tuple[int, ...], np.dtype[np.float32]]"], int]]


@dataclass(frozen=True)
class Round:
    """A round's entries, and their updates in a store."""

    spec: TaskSpec
    context: RoundContext
    entries: tuple[Entry, ...]
    opener: UpdateOpener

    def aggregate(self, *, limit: int = admit.CACHE_BYTES) -> Sums:
        """Admit every entry and add them up, as `judge_round` does."""
        opened = OpenedUpdates(self.opener.source(self.entries), self.spec, limit=limit)
        admission = admit_entries(self.entries, opened, spec=self.spec, context=self.context)
        if any(admission.refusals):
            raise AssertionError(f"the benchmark's own updates are refused: {admission.refusals}")
        weights = _weights(len(self.entries))
        size, bits = self.spec.model.size, self.spec.codec.bits
        return weighted_sum(range(len(self.entries)), weights, opened.read, size=size, bits=bits)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark; --child is how it calls itself."""
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> Iterator[Row]:
    """Measure every width and number of updates; the quick run leaves out n = 100 and all repeats."""
    if args.child:
        yield from _child(args.child)
        return
    quick = bool(args.quick)
    counts, processes = (COUNTS[:1], 1) if quick else (COUNTS, PROCESSES)
    for bits in WIDTHS:
        for count in counts:
            yield from _speed_rows(bits, count, processes)
    yield from (_memory_row(bits) for bits in WIDTHS if not quick)
    yield from (_products_row(bits, count) for bits in WIDTHS for count in counts)


def _speed_rows(bits: int, count: int, processes: int) -> Iterator[Row]:
    ours, theirs = (_medians(f"{who}:{bits}:{count}", processes) for who in ("ours", "flwr"))
    name = f"int{bits} n={count}"
    total = count * _model().size / 1e6
    speed = total / ours["sealed"]
    alone, checked = "flwr aggregate, float32 in memory", "flwr aggregate, float32 in memory, CIDs checked"
    yield Row(
        f"{name}: sealed bytes to sum", speed, UNIT, checked, total / theirs["checked"],
        theirs["checked"] / ours["sealed"], f">= {BAR:g} {UNIT}" if bits == 8 else None,
        speed >= BAR if bits == 8 else None,
    )  # fmt: skip
    ratio, bar = theirs["checked"] / ours["checked"], LIKE_BARS[bits]
    yield Row(
        f"{name}: plain bytes to sum, CIDs checked", total / ours["checked"], UNIT, checked,
        total / theirs["checked"], ratio, f">= {bar:g}", ratio >= bar,
    )  # fmt: skip
    yield Row(
        f"{name}: the sum alone, integers in memory", total / ours["sum"], UNIT, alone, total / theirs["alone"],
        theirs["alone"] / ours["sum"],
    )  # fmt: skip
    for part in (*PARTS, "rest"):
        spent = 1000 * ours[part] / count
        yield Row(f"{name}: {part}", round(spent, 4), "CPU-ms an update", "all", 1000 * ours["all"] / count,
                  ours[part] / ours["all"])  # fmt: skip


def _medians(task: str, processes: int) -> dict[str, float]:
    """Run one side in processes of its own; return the median of each figure."""
    runs = [_in_fresh_process(task) for _ in range(processes)]
    return {case: statistics.median(run[case] for run in runs) for case in runs[0]}


def _in_fresh_process(task: str) -> dict[str, float]:
    script = Path(__file__).resolve().parents[1] / "benchmark.py"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, str(script), "aggregate", "--child", task, "--json", str(out)]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **MALLOC})
        return {row["case"]: float(row["value"]) for row in json.loads(out.read_text(encoding="utf-8"))["rows"]}


def _child(task: str) -> Iterator[Row]:
    who, bits, count = task.split(":")
    figures = {"ours": _ours, "flwr": _flwr, "memory": _memory}[who](int(bits), int(count))
    return (Row(case, value) for case, value in figures.items())


def _median(function: Callable[[], object]) -> float:
    function()
    return statistics.median(cpu_seconds(function) for _ in range(CALLS))


def _ours(bits: int, count: int) -> Mapping[str, float]:
    size, weights = _model().size, _weights(count)
    plain = list(_updates(bits, count))
    cids = [unixfs.cid_of(data) for data in plain]
    integers = [decode_update(data, model=_model(), bits=bits) for data in plain]

    def checked(index: int) -> Integers:
        if unixfs.cid_of(plain[index]) != cids[index]:
            raise AssertionError("the benchmark's own update is broken")
        return decode_update(plain[index], model=_model(), bits=bits)

    with tempfile.TemporaryDirectory() as folder:
        sealed = _round(Path(folder), bits, iter(plain))
        if not np.array_equal(
            sealed.aggregate(), weighted_sum(range(count), weights, integers.__getitem__, size=size, bits=bits)
        ):
            raise AssertionError("the sum of the sealed updates is not that of the integers")
        return {
            "sealed": _median(sealed.aggregate),
            "checked": _median(lambda: weighted_sum(range(count), weights, checked, size=size, bits=bits)),
            "sum": _median(lambda: weighted_sum(range(count), weights, integers.__getitem__, size=size, bits=bits)),
            **dict.fromkeys((*PARTS, "rest"), 0.0),
            **cpu_by_part(sealed.aggregate, PARTS),
        }


def _flwr(bits: int, count: int) -> Mapping[str, float]:
    del bits
    rng = np.random.default_rng(count)
    floats: Floats = [
        ([rng.standard_normal(t.shape, dtype=np.float32) for t in _model().tensors], 600) for _ in range(count)
    ]
    blocks = [b"".join(array.tobytes() for array in arrays) for arrays, _ in floats]
    return {
        "checked": _median(lambda: ([unixfs.cid_of(block) for block in blocks], flwr_aggregate(floats))),
        "alone": _median(lambda: flwr_aggregate(floats)),
    }


def _memory(bits: int, count: int) -> Mapping[str, float]:
    """Peak of this process when nothing is kept between the readings, as beyond the aggregator's bound."""
    with tempfile.TemporaryDirectory() as folder:
        _round(Path(folder), bits, _updates(bits, count)).aggregate(limit=0)
        return {"peak": _own_peak_bytes()}


def _round(folder: Path, bits: int, updates: Iterator[bytes]) -> Round:
    """Seal, store and sign updates as trainers do; one is held at a time."""
    reveal = RevealKey.derive(private_key(999))
    model = _model()
    spec = anchored_spec(
        model=model,
        codec=CodecRule(bits, "stochastic", ScaleSpec((-5,) * len(model.tensors))),
        aggregators=(Party(AGGREGATOR, bn254.encode(reveal.public)),),
    )
    store = DiskStore(folder, durable=False)
    entries = tuple(_entry(spec, store, number, plain) for number, plain in enumerate(updates, start=1))
    members = {entry.receipt.trainer: STAKE for entry in entries}
    context = RoundContext(DOMAIN, 7, 0, AGGREGATOR, bytes(32), members, seats_of(spec, list(members)), life=0)
    opener = UpdateOpener(store, domain=DOMAIN, spec=spec, recipient=AGGREGATOR, key=reveal)
    return Round(spec, context, entries, opener)


def _entry(spec: TaskSpec, store: DiskStore, number: int, plain: bytes) -> Entry:
    key = number.to_bytes(32, "big")
    sealed = encrypt(plain, key=key)
    receipt = Receipt(
        task=7, round=0, life=0, base_round=0, trainer=address_of(number), parent=bytes(32),
        update=store.put(sealed.data).digest,
        length=sealed.length, key_hash=sealed.key_hash, leaves_root=sealed.leaves_root,
        content_root=file_root(plain, table=spec.model.leaves, bits=spec.codec.bits, key=key) or b"",
        commitment=bytes(32), samples=600,
        salt=bytes(32),
    )  # fmt: skip
    secret = private_key(number)
    keys = wrap_for_all(key, secret=secret, receipt=receipt, domain=DOMAIN, spec=spec)
    package = sign_digest(package_digest(receipt, keys, DOMAIN, spec), secret)
    return Entry(receipt, sign_receipt(receipt, DOMAIN, secret).signature, STAKE, keys, package, forced=False)


@functools.cache
def _model() -> ModelSpec:
    return model_spec(build_model(MODEL), MODEL)


def _updates(bits: int, count: int) -> Iterator[bytes]:
    """Make updates with a spread like the codec's: a 32nd of the range at int8, a 256th at int16."""
    rng, model = np.random.default_rng(count), _model()
    for _ in range(count):
        values = np.rint(rng.standard_normal(model.size, dtype=np.float32) * (4 if bits == 8 else 128))
        yield pack_update(values.astype(np.int8 if bits == 8 else np.int16), model=model, bits=bits)


def _weights(count: int) -> Sequence[int]:
    """Weights of equal stakes as `rules.weights` makes them: they sum to at most 2^16."""
    return [65_536 // count] * count


def _products_row(bits: int, count: int) -> Row:
    model = _model()
    integers = [decode_update(data, model=model, bits=bits) for data in _updates(bits, count)]
    counted = [slice(0, model.counted_size)]
    floats = np.stack([i.astype(np.float32) for i in integers[:10]])
    times = paired_cpu_time(
        lambda: products(integers, integers, bits=bits, places=counted), lambda: floats @ floats.T, repeats=2
    )
    return Row(
        f"inner products int{bits} n={count}, exact", count * model.size / times.value / 1e6, UNIT,
        "inexact float32 product of 10 rows", 10 * model.size / times.reference / 1e6,
    )  # fmt: skip


def _memory_row(bits: int) -> Row:
    """Peak memory of a whole aggregation that streams, in processes of their own: flat in n."""
    few, many = (_in_fresh_process(f"memory:{bits}:{count}")["peak"] for count in COUNTS)
    return at_most(
        f"int{bits} peak memory n={COUNTS[1]}, streamed", many / 1e6, 1.05, unit="MB", reference=f"n={COUNTS[0]}",
        reference_value=few / 1e6, ratio=many / few,
    )  # fmt: skip


def _own_peak_bytes() -> int:
    """Peak resident memory of this program alone: Linux' ru_maxrss keeps the parent's figure across fork and exec."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_memory_bytes()
