"""A symbolic run of a contract's compiled code: every path through it, its conditions and what it returns.

It knows the opcodes that a pure function of words is made of, and stops at any other; jumps and places in memory must
be known. So a result says something about the bytes that are deployed, whoever compiled them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scripts.proving.terms import MEANING, Term, const, evaluate, make, signed

MOST_PATHS = 20_000
MOST_STEPS = 10_000
Condition = tuple[Term, bool]  # a term, and whether it is other than zero


class GaveUp(Exception):
    """The checker cannot say whether it holds; the text says why."""


@dataclass(frozen=True)
class Path:
    """One way through the code."""

    conditions: tuple[Condition, ...]
    reverted: bool
    output: tuple[Term | None, ...]  # words; None where memory holds no whole one

    def gives(self) -> Term:
        """Return the one word that it gives. Raises GaveUp where it gives none."""
        output = self.output[0] if len(self.output) == 1 else None
        if self.reverted or output is None:
            raise GaveUp("a path that gives no word")
        return output


@dataclass(frozen=True)
class _State:
    place: int
    stack: tuple[Term, ...]
    memory: tuple[tuple[int, Term], ...]
    conditions: tuple[Condition, ...]


def push_size(code: int) -> int:
    """Return how many bytes behind an opcode are its constant."""
    return code - 0x5F if 0x5F <= code <= 0x7F else 0


# What is computed with words; terms.py says what each gives.
OPCODES = {
    0x01: "ADD", 0x02: "MUL", 0x03: "SUB", 0x04: "DIV", 0x05: "SDIV", 0x09: "MULMOD", 0x0B: "SIGNEXTEND", 0x10: "LT",
    0x11: "GT", 0x12: "SLT", 0x13: "SGT", 0x14: "EQ", 0x15: "ISZERO", 0x16: "AND", 0x17: "OR", 0x18: "XOR", 0x19: "NOT",
    0x1B: "SHL", 0x1C: "SHR", 0x1D: "SAR",
}  # fmt: skip
_ARGUMENTS = {name: 1 if name in {"ISZERO", "NOT"} else 3 if name == "MULMOD" else 2 for name in MEANING}


def _known(term: Term) -> int:
    if not term.is_const:
        raise GaveUp(f"a jump or a place in memory depends on the operands: {term.op}")
    return term.value


class Execution:
    """One call: the code and the words of its calldata behind the selector."""

    def __init__(self, code: bytes, selector: bytes, words: Sequence[Term]) -> None:
        self._code = code
        self._selector = selector
        self._words = words
        self._targets = self._jump_targets()

    def _jump_targets(self) -> frozenset[int]:
        found, place = set(), 0
        while place < len(self._code):
            if self._code[place] == 0x5B:
                found.add(place)
            place += 1 + push_size(self._code[place])
        return frozenset(found)

    def paths(self) -> list[Path]:
        """Return every path, those too that no operands take because their conditions exclude each other."""
        found: list[Path] = []
        waiting = [_State(0, (), (), ())]
        while waiting:
            ended, branches = self._run(waiting.pop())
            found += ended
            waiting += reversed(branches)
            if len(found) + len(waiting) > MOST_PATHS:
                raise GaveUp(f"more than {MOST_PATHS} paths")
        return found

    def _run(self, state: _State) -> tuple[list[Path], list[_State]]:
        """Follow one state to its end, or to where it parts in two."""
        stack, memory, place = list(state.stack), dict(state.memory), state.place
        for _ in range(MOST_STEPS):
            code = self._code[place] if place < len(self._code) else 0
            size = push_size(code)
            if 0x5F <= code <= 0x7F:
                stack.append(const(int.from_bytes(self._code[place + 1 : place + 1 + size].ljust(size, b"\0"), "big")))
            elif 0x80 <= code <= 0x8F:
                stack.append(stack[-(code - 0x7F)])
            elif 0x90 <= code <= 0x9F:
                depth = -(code - 0x8E)
                stack[-1], stack[depth] = stack[depth], stack[-1]
            elif code in {0xF3, 0xFD}:
                start, length = _known(stack.pop()), _known(stack.pop())
                return [Path(state.conditions, code == 0xFD, _words_of(memory, start, length))], []
            elif code == 0x56:
                place = self._target(stack.pop())
                continue
            elif code == 0x57:
                target, condition = self._target(stack.pop()), stack.pop()
                known = _decided(condition, state.conditions)
                if known is None:
                    here = replace(state, stack=tuple(stack), memory=tuple(memory.items()))
                    return [], _parted(here, condition, target, place + 1)
                place = target if known else place + 1
                continue
            else:
                self._plain(code, stack, memory)
            place += 1 + size
        raise GaveUp(f"more than {MOST_STEPS} opcodes without a branch")

    def _target(self, term: Term) -> int:
        target = _known(term)
        if target not in self._targets:
            raise GaveUp(f"a jump to {target}, which is no JUMPDEST")
        return target

    def _plain(self, code: int, stack: list[Term], memory: dict[int, Term]) -> None:
        """Run an opcode that neither jumps nor ends."""
        if code in OPCODES:
            name = OPCODES[code]
            stack.append(make(name, *(stack.pop() for _ in range(_ARGUMENTS[name]))))
        elif code == 0x50:
            stack.pop()
        elif code == 0x51:
            place = _known(stack.pop())
            if place not in memory:
                raise GaveUp(f"memory at {place} is read, and was not written as one word")
            stack.append(memory[place])
        elif code == 0x52:
            place, word = _known(stack.pop()), stack.pop()
            for other in [other for other in memory if abs(other - place) < 32]:
                del memory[other]  # overwritten, in whole or in part
            memory[place] = word
        elif code == 0x34:
            stack.append(const(0))
        elif code == 0x35:
            stack.append(self._calldata(_known(stack.pop())))
        elif code == 0x36:
            stack.append(const(4 + 32 * len(self._words)))
        elif code != 0x5B:
            raise GaveUp(f"opcode 0x{code:02x} is not of a pure function")

    def _calldata(self, place: int) -> Term:
        if place == 0:  # the selector and the head of the first word, which must be known: nothing reads more of it
            return make("OR", make("SHL", 224, int.from_bytes(self._selector, "big")), make("SHR", 32, self._words[0]))
        index, rest = divmod(place - 4, 32)
        if rest or not 0 <= index < len(self._words):
            raise GaveUp(f"calldata at {place} is no word of the call")
        return self._words[index]


def _without_not(condition: Term, is_true: bool) -> Condition:
    while condition.op == "ISZERO":
        condition, is_true = condition.args[0], not is_true
    return condition, is_true


def _decided(condition: Term, conditions: Sequence[Condition]) -> bool | None:
    """Return whether a condition holds where a path has been through it before, or it is known; else None."""
    term, as_it_is = _without_not(condition, True)
    if term.is_const:
        return bool(term.value) == as_it_is
    for other, is_true in conditions:
        if other is term:
            return is_true == as_it_is
    return None


def _parted(state: _State, condition: Term, target: int, after: int) -> list[_State]:
    ways = ((False, after), (True, target))
    return [
        replace(state, place=place, conditions=(*state.conditions, _without_not(condition, holds)))
        for holds, place in ways
    ]


def _words_of(memory: dict[int, Term], start: int, length: int) -> tuple[Term | None, ...]:
    return tuple(memory.get(place) for place in range(start, start + length, 32))


@dataclass(frozen=True)
class Code:
    """A contract with `give(uint8,int256,int256,int256)`."""

    runtime: bytes
    selector: bytes

    def paths(self, op: int, *operands: Term) -> list[Path]:
        """Return every path of a call with three operands."""
        return Execution(self.runtime, self.selector, (const(op), *operands)).paths()

    def gives(self, op: int, *operands: int) -> int | None:
        """Return what a call gives of known operands; None where it gives no word. What an operation has no operand for
        is filled with what must not matter."""
        filled = (*operands, *(77,) * (3 - len(operands)))
        try:
            (path,) = self.paths(op, *map(const, filled))
            return signed(evaluate(path.gives(), {}))
        except GaveUp:
            return None
