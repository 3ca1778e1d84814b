"""ROOT, proved: its paths give floor(sqrt(x)), and 0 where x is negative.

A path knows how many bits x has, so it begins Newton's method at a known number. Six steps are bounded one by one:
after each, the value is no smaller than the root, and no further above it than a number that shrinks to 1; the contract
takes that last one off. Every bound is computed here and then proved; none is trusted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import z3

from scripts.proving.execution import GaveUp, Path
from scripts.proving.integers import Lemma, Mul, Words, holds, product
from scripts.proving.terms import BITS, HALF, Term, make, nodes, var

STEPS = 6
X = var("x")


def _is_root(mul: Mul, root: z3.ArithRef, x: z3.ArithRef) -> z3.BoolRef:
    return z3.And(root >= 0, mul(root, root) <= x, x < mul(root, root) + 2 * root + 1)


def _newton(mul: Mul, *integers: z3.ArithRef) -> z3.BoolRef:
    """One step, to (value + x / value) / 2: it ends at or above the root, and above it by at most so much."""
    x, root, value, quotient, left, after, above, gained = integers
    given = [
        _is_root(mul, root, x), value >= 1, x == mul(value, quotient) + left, left >= 0, left < value,
        2 * after <= value + quotient, value + quotient <= 2 * after + 1, above == value - root, gained == after - root,
    ]  # fmt: skip
    return z3.Implies(z3.And(*given), z3.And(gained >= 0, 2 * mul(value, gained) <= mul(above, above) + 2 * root))


def _ordered(mul: Mul, root: z3.ArithRef, x: z3.ArithRef, least: z3.ArithRef, end: z3.ArithRef) -> z3.BoolRef:
    within = z3.And(_is_root(mul, root, x), mul(least, least) <= x, x < mul(end, end), least >= 0, end >= 0)
    return z3.Implies(within, z3.And(least <= root, root < end))


def _square(mul: Mul, above: z3.ArithRef, most: z3.ArithRef) -> z3.BoolRef:
    return z3.And(
        z3.Implies(z3.And(above >= -most, above <= most), mul(above, above) <= mul(most, most)),
        z3.Implies(z3.And(above >= 0, above <= most), mul(above, above) <= mul(most, above)),
    )


def _more(mul: Mul, value: z3.ArithRef, gained: z3.ArithRef, bound: z3.ArithRef) -> z3.BoolRef:
    return z3.Implies(z3.And(value >= 0, gained >= bound), mul(value, gained) >= mul(bound, value))


def _last(mul: Mul, *integers: z3.ArithRef) -> z3.BoolRef:
    x, root, value, quotient, left = integers
    given = [
        _is_root(mul, root, x), value >= 1, z3.Or(value == root, value == root + 1),
        x == mul(value, quotient) + left, left >= 0, left < value,
    ]  # fmt: skip
    return z3.Implies(z3.And(*given), (value == root + 1) == (value > quotient))


_NEWTON = Lemma("Newton's step", 8, _newton)
_ORDERED = Lemma("roots are ordered as their squares", 4, _ordered)
_SQUARE = Lemma("a square's bound", 2, _square)
_MORE = Lemma("a product's lower bound", 3, _more)
_LAST = Lemma("the last unit", 5, _last)


@dataclass(frozen=True)
class Setting:
    """What is known of the operands whose root has so many bits."""

    words: Words
    root: z3.ArithRef
    within: z3.BoolRef  # which operands these are
    given: tuple[z3.BoolRef, ...]


def newton(bits: int) -> list[Term]:
    """Return the values that Newton's method goes through for operands in [4^bits, 4^(bits + 1)), as terms."""
    values = [make("SHR", 1, 3 << bits)]
    for _ in range(STEPS):
        values.append(make("SHR", 1, make("ADD", values[-1], make("DIV", X, values[-1]))))
    return values


def setting(bits: int, seconds: float) -> Setting:
    """Prove what is known of operands in [4^bits, 4^(bits + 1)). Raises GaveUp where it does not follow."""
    words, root = Words(), z3.Int("root")
    operand, least, end = words.of(X), 1 << bits, 2 << bits
    within = z3.And(operand >= least**2, operand < end**2)
    given = [
        within, operand < HALF, _is_root(product, root, operand),
        _ORDERED.at(root, operand, z3.IntVal(least), z3.IntVal(end)),
    ]  # fmt: skip
    holds(z3.And(root >= least, root < end), given, seconds, f"the root's bits, {bits}")
    given += [root >= least, root < end]
    values = newton(bits)
    start = values[0].value
    off = max(start - least, end - 1 - start)
    for index, (value, after) in enumerate(itertools.pairwise(values)):
        off_after = (
            max(1, off * (off - 2) // (2 * least + 2 * off) + 1) if index else (off * off + 2 * end - 2) // (2 * start)
        )
        given.append(_step(words, root, (value, after), (off, off_after), given, seconds))
        off = off_after
    last = make("DIV", X, values[-1])
    words.of(last)
    given += [_LAST.at(operand, root, words.of(values[-1]), *words.parts(last))]
    if off != 1:
        raise GaveUp(f"{STEPS} steps leave {off} above the root")
    return Setting(words, root, within, tuple(given))


def _step(
    words: Words, root: z3.ArithRef, values: tuple[Term, Term], off: tuple[int, int], given: list[z3.BoolRef],
    seconds: float,
) -> z3.BoolRef:  # fmt: skip
    """Prove that a step from a value so far off ends at one so far above the root, and return that."""
    value, after = (words.of(term) for term in values)
    ratio = make("DIV", X, values[0])
    words.of(ratio)
    above, gained = words.named(value - root), words.named(after - root)
    lemmas = [
        _NEWTON.at(words.of(X), root, value, *words.parts(ratio), after, above, gained),
        _SQUARE.at(above, z3.IntVal(off[0])),
        _MORE.at(value, gained, z3.IntVal(off[1] + 1)),
    ]
    claim = z3.And(after >= root, after - root <= off[1])
    holds(claim, [*words.facts, *given, *lemmas], seconds, f"a step of Newton's from {off[0]:#x} off")
    return claim


def _prove_small(path: Path, seconds: float) -> None:
    """Prove a path on which Newton's method is not begun."""
    words, root = Words(), z3.Int("root")
    operand = words.of(X)
    given = [words.says(condition) for condition in path.conditions]
    given += [_is_root(product, root, operand)]
    given += [_ORDERED.at(root, operand, z3.IntVal(end - 1), z3.IntVal(end)) for end in (1, 2)]
    result = words.of(path.gives())
    holds(result == z3.If(operand < HALF, root, 0), [*words.facts, *given], seconds, "a path without Newton's method")


def _prove_path(path: Path, setting: Setting, seconds: float) -> None:
    words = setting.words
    conditions = [words.says(condition) for condition in path.conditions]
    # What is given of the operand may be used only where the path says that the operand is such a one.
    about_operand = [words.says((term, is_true)) for term, is_true in path.conditions if not _divides(term)]
    holds(z3.And(setting.within, words.of(X) < HALF), [*words.facts, *about_operand], seconds, "an operand's bits")
    claim = z3.BoolVal(False) if path.reverted else words.of(path.gives()) == setting.root
    holds(claim, [*words.facts, *setting.given, *conditions], seconds, "a path")


def _divides(term: Term) -> bool:
    return any(node.op == "DIV" for node in nodes(term))


def prove(paths: Sequence[Path], seconds: float, progress: Callable[[str], None]) -> None:
    """Raises GaveUp where some path is not shown to give what it should."""
    begun = {newton(bits)[1]: bits for bits in range(BITS // 2)}
    settings: dict[int, Setting] = {}
    for index, path in enumerate(paths):
        progress(f"paths: {index + 1} of {len(paths)}")
        terms = [term for term, _ in path.conditions] + [term for term in path.output if term is not None]
        found = [begun[node] for node in nodes(*terms) if node in begun]
        if not found:
            _prove_small(path, seconds)
            continue
        if found[0] not in settings:
            settings[found[0]] = setting(found[0], seconds)
        _prove_path(path, settings[found[0]], seconds)
