"""A task's circuit is that of its program, whoever asks: before it is opened, and after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fl_platform.errors import ConfigError, DocumentInvalid, NoCircuit
from fl_platform.judging import circuits
from fl_platform.protocol.program import Output
from fl_platform.protocol.spec import ProofRule
from tests.support.settlements import smallest
from tests.support.specs import small_spec
from zk.groth16 import files, keys


def with_proofs(trainers: int) -> circuits.TaskSpec:
    return replace(small_spec(), proofs=ProofRule(trainers, bytes(32)))


def test_a_task_without_proofs_has_no_circuit() -> None:
    with pytest.raises(NoCircuit, match=r"`fl-platform task open --proofs N`"):
        circuits.circuit_of(small_spec())


def test_the_circuit_before_a_task_is_the_one_of_the_task() -> None:
    spec = with_proofs(4)
    kind, byzantine = spec.worth.kind, spec.aggregation.byzantine * (spec.aggregation.selection != "mean")
    early = circuits.circuit_of_rule(4, len(spec.aggregators), byzantine, kind, None)
    made = circuits.circuit_of(spec)
    assert (early.program.root, early.shape) == (made.program.root, made.shape)
    own = circuits.circuit_of_rule(4, 1, 0, kind, made.program.to_bytes())
    assert own.program == made.program


def test_a_program_whose_settlement_cell_is_its_own_invention_has_no_circuit() -> None:
    program = circuits.circuit_of(with_proofs(4)).program
    other = replace(program, outputs={**program.outputs, Output.SETTLEMENT: program.outputs[Output.SETTLEMENT] - 1})
    with pytest.raises(NoCircuit, match="a proof would say nothing"):
        circuits.circuit_of_rule(4, 1, 0, "anchored", other.to_bytes())


def test_a_key_of_another_circuit_is_refused_before_a_task_is_opened(tmp_path: Path) -> None:
    other, _ = smallest()
    file = tmp_path / "other.zkey"
    file.write_bytes(files.write_zkey(keys.development_key(other.r1cs())))
    with pytest.raises(DocumentInvalid, match=r"is of a circuit with [0-9]+ signals, this task's has"):
        circuits.require_key_of(with_proofs(1), file)
    assert keys.verifying_key(file, other.r1cs()) == keys.verifying_key(file)


def test_without_the_extra_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    circuits.require_prover()
    monkeypatch.setattr(circuits, "FAST", ("numba", "no_such_module"))
    with pytest.raises(ConfigError, match=r"no_such_module: pip install 'fl-platform\[fast\]'"):
        circuits.require_prover()
