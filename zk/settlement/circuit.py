"""The settlement circuit of a program: from a round's settlement cell follows the list of what everybody gets.

    circuit = Circuit(program, Shape(trainers=16, directions=4))
    circuit.r1cs()                          what keys are made for: a function of program and shape alone
    made = circuit.settle(tape, rho_of)     of a sealed round: commitment, list and witness

Three numbers are public: the settlement cell, which is a cell of the sealed tape and commits to all that is given, the
value of the list's polynomial at rho, and rho. The list travels in calldata; the contract takes rho = keccak(context,
commitment, list) and the value there itself (`binding`). The list follows from the commitment, which was fixed before
rho, so another list has the same value with probability length / r.

    list    by seat: wei earned so far, reputation above them (128 bits up) | weights, 12 a number of 20 bits each |
            divisor

Tests: tests/zk/test_settlement_circuit.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fl_platform.errors import NoCircuit
from fl_platform.protocol.held import listed
from fl_platform.protocol.program import Output, Program
from fl_platform.protocol.sources import Axis
from fl_platform.protocol.tape import Tape
from zk.circuits.plan import Plan, Shape
from zk.circuits.system import Cell, System, Value, modulo, total
from zk.compile_program import Compiler
from zk.curve.bn254 import ORDER
from zk.groth16.files import Words, write_r1cs

PUBLIC = 3  # commitment, the list's value at rho, rho
REPUTATION_SHIFT = 128
WEIGHT_BITS = 20
WEIGHTS_A_NUMBER = 12
_NUMBER_BITS = 250  # of a number of the list


@dataclass(frozen=True)
class Settled:
    """What follows from a round."""

    commitment: int
    values: tuple[int, ...]  # the list
    witness: Words  # plain scalars of all signals, (n, 4)


@dataclass(frozen=True)
class Circuit:
    """A program's circuit with room for a number of trainers.

    It proves what the program's settlement cell commits to: of a program from elsewhere, ask `rules.is_settled` first.
    """

    program: Program
    shape: Shape

    @cached_property
    def plan(self) -> Plan:
        """What it has of the program: what seats have earned, their reputations, the divisor, entries' weights."""
        return Plan(self.program, self.shape, (self.program.outputs[Output.SETTLEMENT], *listed(self.program)))

    @cached_property
    def system(self) -> System:
        """The constraints. Raises NoCircuit naming the column that has none."""
        system = System(concrete=False)
        public = [system.hint(lambda: 0) for _ in range(PUBLIC)]
        root, values = self._follow(Compiler(self.plan, system))
        system.require(root, 1, public[0])
        system.require(_at(system, values, public[2]), 1, public[1])
        return system

    def r1cs(self) -> bytes:
        """Return the constraints as a .r1cs file."""
        system = self.system
        return write_r1cs(system.signals, PUBLIC, system.rows, system.booleans)

    def settle(self, tape: Tape, rho_of: Callable[[int, Sequence[int]], int] = lambda _, __: 0) -> Settled:
        """Return what follows from a round, and the circuit's signals for it.

        tape: of a sealed round, untrusted. rho_of: from commitment and list; without it the witness proves nothing.
        Raises NoCircuit naming what the circuit does not hold.
        """
        system = System(concrete=True)
        system.values += [0] * PUBLIC
        system.signals += PUBLIC
        root, found = self._follow(Compiler(self.plan, system, tape))
        commitment, values = int(root) % ORDER, tuple(int(one) for one in found)  # type: ignore[arg-type]
        rho = rho_of(commitment, values)
        value = int(_at(system, values, rho)) % ORDER  # type: ignore[arg-type]
        system.values[1 : 1 + PUBLIC] = (commitment, value, rho)
        data = b"".join(one.to_bytes(32, "little") for one in system.values)
        return Settled(commitment, values, np.frombuffer(data, np.uint64).reshape(-1, 4))

    def _follow(self, compiler: Compiler) -> tuple[Value, list[Value]]:
        compiler.compile()
        settlement, earned, reputation, divisor, weight = self.plan.wanted
        cells, active = compiler.cells, compiler.active
        values: list[Value] = []
        for seat, here in enumerate(active[Axis.SEAT]):
            claim, standing = cells[earned][seat], cells[reputation][seat]
            _require_width(claim, REPUTATION_SHIFT)
            _require_width(standing, _NUMBER_BITS - REPUTATION_SHIFT)
            both = Cell(claim.value + standing.value * (1 << REPUTATION_SHIFT), 0, (1 << _NUMBER_BITS) - 1)
            values.append(compiler.gates.times(here, both).value)
        there = zip(active[Axis.ENTRY], cells[weight], strict=True)
        weights = [compiler.gates.times(here, one) for here, one in there]
        for start in range(0, len(weights), WEIGHTS_A_NUMBER):
            part = weights[start : start + WEIGHTS_A_NUMBER]
            for one in part:
                _require_width(one, WEIGHT_BITS)
            values.append(total((one.value, 1 << WEIGHT_BITS * k) for k, one in enumerate(part)))
        values.append(cells[divisor].item().value)
        return cells[settlement].item().value, values


def _require_width(cell: Cell, bits: int) -> None:
    if cell.low < 0 or cell.high >> bits:
        raise NoCircuit(f"a number of the list is within {cell.low} and {cell.high}; {bits} bits are its place")


def _at(system: System, values: Sequence[Value], rho: Value) -> Value:
    """Return sum values[i] * rho^i + rho^length (`binding.value_at`)."""
    found = values[-1] + rho
    for value in reversed(values[:-1]):
        raised = system.product(found, rho)
        found = modulo(raised) + value
    return found
