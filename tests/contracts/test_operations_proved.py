"""The compiled operations give what they should for all operands; and a proof of what is wrong does not come about.

What needs the solver (requirements/prove.txt) is slow; that the symbolic run is true to the EVM is checked without it.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from fl_platform.protocol.arithmetic import apply
from fl_platform.protocol.operations import PLAIN, Op, operands_of
from scripts.proving.execution import OPCODES, Code, push_size
from scripts.proving.terms import MEANING, WORD, evaluate, make, var
from tests.support.contracts import World
from tests.support.evm import Contract, account, artifact
from tests.support.operation_cells import EDGES

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "prove_operations.py"
NAMES = ("x", "y", "z")


@pytest.fixture(scope="module")
def code() -> Code:
    """The harness as compiled."""
    harness = artifact("OperationsHarness")
    return Code(harness.runtime, harness.abi.encode("give", 0, 0, 0, 0)[:4])


@pytest.fixture(scope="module")
def harness() -> Contract:
    """The harness, on a chain of its own."""
    return World().evm.create(account("deployer").address, "OperationsHarness")


def drawn(count: int, many: int) -> list[tuple[int, ...]]:
    """Return operands, always the same: some at the edges, some of any length."""
    draw = random.Random(count)

    def one() -> int:
        return draw.choice([draw.choice(EDGES), draw.choice((1, -1)) * draw.getrandbits(255) >> draw.randrange(255)])

    return [tuple(one() for _ in range(count)) for _ in range(many)]


@pytest.mark.parametrize("op", sorted(PLAIN), ids=lambda op: op.name)
def test_paths_are_true_to_the_evm(code: Code, harness: Contract, op: Op) -> None:
    paths = code.paths(op, *map(var, NAMES))
    for operands in drawn(3, 40):
        words = {name: value % WORD for name, value in zip(NAMES, operands, strict=True)}
        (taken,) = [
            path for path in paths if all(bool(evaluate(term, words)) == true for term, true in path.conditions)
        ]
        given = harness.call("give", int(op), *operands)
        assert evaluate(taken.gives(), words) == given % WORD
        assert code.gives(op, *operands) == given == apply(op, *operands[: operands_of(op)])


# --- with the solver --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_operation_is_proved_for_all_operands(tmp_path: Path) -> None:
    file = tmp_path / "proved.json"
    command = [sys.executable, str(SCRIPT), "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = {verdict["op"]: verdict for verdict in json.loads(file.read_text())}
    assert {name: verdict["reason"] for name, verdict in verdicts.items() if not verdict["proved"]} == {}
    assert verdicts.keys() == {op.name for op in PLAIN} | {"others"}


# What is put instead of an opcode.
SWAPS = {
    "ADD": "SUB", "SUB": "ADD", "MUL": "ADD", "DIV": "SDIV", "SDIV": "DIV", "LT": "GT", "GT": "LT", "SLT": "LT",
    "SGT": "GT", "EQ": "LT", "SHL": "SHR", "SHR": "SHL", "SAR": "SHR", "XOR": "OR", "OR": "XOR", "AND": "OR",
}  # fmt: skip
BYTES = {name: byte for byte, name in OPCODES.items()}
PROVED_QUICKLY = PLAIN - {Op.MULDIV, Op.ROOT}
MUTANTS = 3  # of each operation that takes long


def mutants(code: Code, op: Op) -> list[tuple[int, Code]]:
    """Return the code with one opcode changed, wherever that changes what is given of some operands, and the place."""
    found, place = [], 0
    operands = drawn(operands_of(op), 12)
    while place < len(code.runtime):
        byte = code.runtime[place]
        if OPCODES.get(byte) in SWAPS:
            changed = bytearray(code.runtime)
            changed[place] = BYTES[SWAPS[OPCODES[byte]]]
            mutant = Code(bytes(changed), code.selector)
            if any(mutant.gives(op, *values) != apply(op, *values) for values in operands):
                found.append((place, mutant))
        place += 1 + push_size(byte)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("op", sorted(PLAIN), ids=lambda op: op.name)
def test_code_with_another_opcode_is_not_proved_and_has_a_counter_example(code: Code, op: Op) -> None:
    from scripts.proving.operations import verdict_on

    changed = mutants(code, op)
    assert changed
    if op not in PROVED_QUICKLY:
        changed = changed[:: -(-len(changed) // MUTANTS)]
    for place, mutant in changed:
        verdict = verdict_on(mutant, op, seconds=5)
        assert not verdict.proved, place
        assert verdict.counter_example is not None, (place, verdict.reason)
        assert mutant.gives(op, *verdict.counter_example) == verdict.given
        assert apply(op, *verdict.counter_example) == verdict.wanted != verdict.given


@pytest.mark.slow
def test_the_script_shows_a_counter_example_and_fails(
    code: Code, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from scripts import prove_operations

    (_, mutant), *_ = mutants(code, Op.MIN)
    monkeypatch.setattr(prove_operations, "compiled", lambda: mutant)
    assert prove_operations.main(["MIN"]) == 1
    assert "COUNTER-EXAMPLE (" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        prove_operations.main(["POWER"])
    assert stopped.value.code == 2


@pytest.mark.slow
def test_another_specification_is_not_proved_and_no_counter_example_is_made_up(
    code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scripts.proving import direct
    from scripts.proving.operations import verdict_on

    monkeypatch.setattr(direct, "GIVES", {**direct.GIVES, Op.MIN: direct.GIVES[Op.MAX]})
    verdict = verdict_on(code, Op.MIN)
    assert not verdict.proved
    assert verdict.counter_example is None
    assert str(verdict) == "gave up: a path: does not follow"


@pytest.mark.slow
@pytest.mark.parametrize("op", sorted(PLAIN - {Op.DIV, Op.MULDIV, Op.ROOT}), ids=lambda op: op.name)
def test_what_is_proved_in_bits_is_what_python_gives(op: Op) -> None:
    import z3

    from scripts.proving import direct
    from scripts.proving.bits import word

    for operands in drawn(3, 60):
        x, y, z = map(word, operands)
        if op is Op.SHIFT:
            count = max(-255, min(operands[1], 255))
            wanted, given = apply(op, operands[0], count), direct.shifted(x, count)
        else:
            wanted, given = apply(op, *operands[: operands_of(op)]), direct.GIVES[op](x, y, z)
        assert z3.simplify(given).as_signed_long() == wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MEANING))
def test_what_is_said_of_an_opcode_in_integers_and_bits_is_true(name: str) -> None:
    """Every operand's word satisfies the equations; were one not to, anything could be proved of it."""
    import z3

    from scripts.proving.bits import GIVES, Vectors, unknown, word
    from scripts.proving.integers import PRODUCT, Words

    real = z3.Var(0, z3.IntSort()) * z3.Var(1, z3.IntSort())
    letters = NAMES[: MEANING[name].__code__.co_argcount]
    for index, operands in enumerate(drawn(len(letters), 40)):
        values = {letter: value % WORD for letter, value in zip(letters, operands, strict=True)}
        known = letters[index % (len(letters) + 1)] if index % (len(letters) + 1) < len(letters) else None
        args = [values[letter] if letter == known else var(letter) for letter in letters]
        term = make(name, *args)
        wanted, words, solver = evaluate(term, values), Words(), z3.Solver()
        said = [words.of(term) == wanted, *(words.of(var(letter)) == values[letter] for letter in letters)]
        solver.add(*(z3.substitute_funs(fact, (PRODUCT, real)) for fact in [*words.facts, *said]))
        assert solver.check() == z3.sat, (term, values)
        if name in GIVES:
            vector = z3.substitute(Vectors().of(term), *((unknown(one), word(values[one])) for one in letters))
            assert z3.simplify(vector).as_long() == wanted


@pytest.mark.slow
def test_what_the_long_proofs_assume_does_not_exclude_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """From what excludes itself, anything follows."""
    import itertools

    import z3

    from scripts.proving import dividing, muldividing, rooting, wide

    asked = []

    def consistent(claim: z3.BoolRef, given: list[z3.BoolRef], _seconds: float, what: str) -> None:
        solver = z3.Solver()
        solver.add(*given, claim)
        asked.append(what)
        assert solver.check() == z3.sat, what

    for module in (dividing, muldividing, rooting, wide):
        monkeypatch.setattr(module, "holds", consistent)
    dividing.prove([], 60)
    for negative in itertools.product((False, True), repeat=3):
        muldividing.setting(negative, 60)
    for bits in (0, 1, 64, 126):
        rooting.setting(bits, 60)
    wide.prove(60, lambda _: None)
    assert len(asked) > 800
