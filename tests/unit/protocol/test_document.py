"""Dataclasses as canonical documents: exact fields and types, and errors that name the place."""

import typing
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol import document
from fl_platform.protocol.canonical import Json, canonical_json, parse_canonical
from fl_platform.protocol.document import from_json, to_json


@dataclass(frozen=True)
class Leaf:
    number: int
    name: str
    data: bytes
    known: bool


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    numbers: tuple[int, ...]
    pair: tuple[int, str]
    note: str | None
    flags: tuple[bool, ...] = ()


leaves = st.builds(Leaf, st.integers(), st.text(), st.binary(), st.booleans())
trees = st.builds(
    Tree,
    st.lists(leaves, max_size=3).map(tuple),
    st.lists(st.integers()).map(tuple),
    st.tuples(st.integers(), st.text()),
    st.none() | st.text(),
    st.lists(st.booleans()).map(tuple),
)
TREE = Tree((Leaf(1, "a", b"\x01", True), Leaf(2, "b", b"", False)), (1, 2, 3), (4, "c"), None)


@given(trees)
def test_what_was_written_is_read(tree: Tree) -> None:
    data = canonical_json(to_json(tree))
    assert from_json(Tree, parse_canonical(data, what="tree"), "tree") == tree


def _with(path: str, value: Json) -> Json:
    body: typing.Any = parse_canonical(canonical_json(to_json(TREE)), what="tree")
    place = body
    *steps, last = path.split("/")
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    place[int(last) if last.isdigit() else last] = value
    return typing.cast(Json, body)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("numbers/1", True, "tree: tree.numbers[1] must be an integer, not True"),
        ("numbers/2", "3", "tree: tree.numbers[2] must be an integer, not '3'"),
        ("numbers", {}, "tree: tree.numbers must be a list"),
        ("leaves/1/number", False, "tree: tree.leaves[1].number must be an integer, not False"),
        ("leaves/1/name", 5, "tree: tree.leaves[1].name must be str, not 5"),
        ("leaves/0/known", 1, "tree: tree.leaves[0].known must be bool, not 1"),
        ("leaves/0/data", "0xAB", "tree: expected lower-case hex without spaces, got '0xAB'"),
        ("leaves/0/data", 7, "tree: expected a 0x string, got 7"),
        ("leaves/0/more", 7, "tree: tree.leaves[0] must have exactly the fields ['data', 'known', 'name', 'number'], "
         "found ['data', 'known', 'more', 'name', 'number']"),
        ("leaves/0", [], "tree: tree.leaves[0] must have exactly the fields ['data', 'known', 'name', 'number'], "
         "found list"),
        ("pair", [1], "tree: tree.pair must have 2 entries"),
        ("pair", 1, "tree: tree.pair must be a list"),
        ("pair/1", 1, "tree: tree.pair[1] must be str, not 1"),
        ("note", 1, "tree: tree.note must be str, not 1"),
    ],
)  # fmt: skip
def test_a_value_out_of_place_is_refused_by_name(path: str, value: Json, message: str) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        from_json(Tree, _with(path, value), "tree")
    assert str(caught.value) == message


def test_a_missing_field_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match="must have exactly the fields"):
        from_json(Tree, {"leaves": []}, "tree")


def test_a_class_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from_json(Tree, to_json(TREE), "tree")

    def again(kind: object) -> typing.NoReturn:
        raise AssertionError(f"type hints of {kind} were looked up again")

    monkeypatch.setattr(document.typing, "get_type_hints", again)  # type: ignore[attr-defined]
    assert from_json(Tree, to_json(TREE), "tree") == TREE


def test_values_without_a_canonical_form_are_our_own_mistake() -> None:
    with pytest.raises(TypeError, match="float has no canonical form"):
        to_json((1, 2.0))
