"""A circuit's witness by its own WebAssembly, run by wasmtime: all signals that follow from the inputs.

The program comes from our compiler and a hash-checked file; it has no imports but the error callbacks, so it can reach
nothing. Signals are copied out by a second small module: one call instead of nine for each signal.

Tests: tests/unit/zk/groth16/test_groth16.py
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from wasmtime import Engine, Func, FuncType, Instance, Linker, Memory, Module, Store, Trap, ValType, WasmtimeError

from fl_platform.errors import DocumentInvalid
from zk.curve.bn254 import ORDER
from zk.groth16.files import Words

_COPY = """
(module
  (import "c" "getWitness" (func $get (param i32)))
  (import "c" "readSharedRWMemory" (func $read (param i32) (result i32)))
  (memory (export "memory") %d)
  (func (export "copy") (param $n i32) (local $i i32) (local $k i32)
    (loop $signals
      (call $get (local.get $i))
      (local.set $k (i32.const 0))
      (loop $words
        (i32.store
          (i32.add (i32.mul (local.get $i) (i32.const 32)) (i32.mul (local.get $k) (i32.const 4)))
          (call $read (local.get $k)))
        (local.set $k (i32.add (local.get $k) (i32.const 1)))
        (br_if $words (i32.lt_u (local.get $k) (i32.const 8))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $signals (i32.lt_u (local.get $i) (local.get $n))))))
"""


@functools.cache
def _module(digest: bytes, code: bytes) -> tuple[Engine, Module]:
    engine = Engine()
    return engine, Module(engine, code)


def _name_hash(name: str) -> tuple[int, int]:
    """Return circom's 64-bit FNV-1a of a signal's name, as its two halves."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value >> 32, value & 0xFFFFFFFF


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def _error_callbacks(linker: Linker, store: Store) -> None:
    def failed(_code: int) -> None:
        raise DocumentInvalid("the circuit refuses these inputs: a constraint does not hold")

    def quiet() -> None:
        return None

    linker.define(store, "runtime", "exceptionHandler", Func(store, FuncType([ValType.i32()], []), failed))
    for name in ("printErrorMessage", "writeBufferMessage", "showSharedRWMemory", "error"):
        linker.define(store, "runtime", name, Func(store, FuncType([], []), quiet))


def calculate(code: bytes, inputs: Mapping[str, Sequence[int]]) -> Words:
    """Return all signals as plain scalars (n, 4). Inputs: names to flat lists, any sign.

    Raises DocumentInvalid when the circuit has no witness for them.
    """
    engine, module = _module(hashlib.sha256(code).digest(), code)
    store = Store(engine)
    linker = Linker(engine)
    _error_callbacks(linker, store)
    instance = linker.instantiate(store, module)
    calls: Any = instance.exports(store)
    try:
        calls["init"](store, 1)
        _set_inputs(calls, store, inputs)
    except (Trap, WasmtimeError) as error:
        raise DocumentInvalid("the circuit refuses these inputs: a constraint does not hold") from error
    count = calls["getWitnessSize"](store)
    return _copy_out(engine, store, calls, count)


def _set_inputs(calls: Any, store: Store, inputs: Mapping[str, Sequence[int]]) -> None:
    given = 0
    for name, values in inputs.items():
        high, low = _name_hash(name)
        size = calls["getInputSignalSize"](store, _signed(high), _signed(low))
        if size != len(values):
            raise DocumentInvalid(f"the circuit wants {size} values of {name!r}, here are {len(values)}")
        for index, value in enumerate(values):
            reduced = value % ORDER
            for k in range(8):
                calls["writeSharedRWMemory"](store, k, _signed(reduced >> (32 * k) & 0xFFFFFFFF))
            calls["setInputSignal"](store, _signed(high), _signed(low), index)
            given += 1
    if given != calls["getInputSize"](store):
        raise DocumentInvalid(f"the circuit wants {calls['getInputSize'](store)} inputs, here are {given}")


def _copy_out(engine: Engine, store: Store, calls: Any, count: int) -> Words:
    copier = Module(engine, _COPY % (count * 32 // 65536 + 1))
    instance = Instance(store, copier, [calls["getWitness"], calls["readSharedRWMemory"]])
    found: Any = instance.exports(store)
    found["copy"](store, count)
    memory: Memory = found["memory"]
    raw = memory.read(store, 0, 32 * count)
    return np.frombuffer(bytes(raw), np.uint64).reshape(-1, 4)
