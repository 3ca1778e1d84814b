"""The frozen rules: exact reading, exact writing."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from fl_platform.errors import DocumentInvalid
from fl_platform.protocol.canonical import canonical_json
from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec, TensorSpec
from fl_platform.protocol.spec import TaskSpec, check_spec
from tests.support.specs import small_spec


def test_round_trip_and_digest() -> None:
    spec = small_spec()
    again = TaskSpec.from_bytes(spec.to_bytes())
    assert again == spec
    assert again.digest == spec.digest
    assert spec.model.size == 15


def changed(path: str, value: object) -> bytes:
    document = json.loads(small_spec().to_bytes())
    inner = document
    *parents, last = path.split(".")
    for name in parents:
        inner = inner[name]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return canonical_json(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", "fl-platform/task/3"),
        ("title", ...),
        ("surprise", 1),
        ("codec.bits", 7),
        ("codec.bits", True),
        ("codec.rounding", "up"),
        ("codec.initial_scale.exponents", [0]),
        ("codec.initial_scale.exponents", [0, 193]),
        ("codec.initial_scale.exponents", [-181, 0]),
        ("aggregation.name", "mean"),
        ("worth.alpha_num", 3),
        ("worth.alpha_den", 0),
        ("worth.stake_cap_bps", 0),
        ("money.bond", 1),
        ("money.rounds", 0),
        ("money.fee_bps", 10_001),
        ("model.tensors", []),
        ("model.tensors", [{"counted": False, "name": "w", "nonnegative": False, "shape": [15]}]),
        ("owner", "0xAB"),
        ("aggregators", []),
        ("strictness", "lax"),
        ("commitments", "sha256"),
        ("commitments", ...),
    ],
)
def test_rules_that_cannot_work_are_refused(path: str, value: object) -> None:
    with pytest.raises(DocumentInvalid):
        TaskSpec.from_bytes(changed(path, value))


def variants(value: Any) -> Iterator[Any]:
    """Yield a value of rules with one word of it changed, for every word below it."""
    other = {int: lambda v: v + 1, str: lambda v: v + "x", bytes: lambda v: b"\x07" + v[1:], bool: lambda v: not v}
    if type(value) in other:
        yield other[type(value)](value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            for inner in variants(getattr(value, field.name)):
                yield dataclasses.replace(value, **{field.name: inner})
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            for inner in variants(item):
                yield (*value[:index], inner, *value[index + 1 :])


def test_every_word_of_the_rules_changes_the_digest() -> None:
    spec = small_spec(training=dataclasses.replace(small_spec().training, parameters=(("mu", 1),)))
    digests = [other.digest for other in variants(spec)]
    assert len(digests) > 60
    assert len({spec.digest, *digests}) == len(digests) + 1


def test_commitments_need_exact_sums_and_a_model_whose_points_fit_into_a_message() -> None:
    check_spec(small_spec(commitments="pedersen"))
    with pytest.raises(DocumentInvalid, match="exact"):
        check_spec(small_spec(commitments="pedersen", exact=False))
    check_spec(small_spec(exact=False))
    for size, commitments, holds in ((2**28, "pedersen", True), (2**28 + 1, "pedersen", False), (2**34, "none", True)):
        model = ModelSpec("large", (TensorSpec("weight", (size - 1,)), TensorSpec("bias", (1,))))
        spec = small_spec(model=model, commitments=commitments)
        if holds:
            check_spec(spec)
        else:
            with pytest.raises(DocumentInvalid, match="commitments"):
                check_spec(spec)


def test_the_rules_that_contracts_look_up_stand_once_in_the_document() -> None:
    """Their judge finds a rule by its key's text: a new rule must not carry the same."""
    document = small_spec(commitments="pedersen").to_bytes()
    keys = ("exact", "kind", "stake_cap_bps", "clip_bps", "byzantine", "fee_bps", "base_bps", "alpha_num", "alpha_den")
    assert all(document.count(f'"{key}":'.encode()) == 1 for key in keys)


def test_what_counts_comes_first() -> None:
    spec = small_spec()
    weight, bias = spec.model.tensors
    mean = TensorSpec("mean", (200,), counted=False)
    good = dataclasses.replace(spec.model, tensors=(weight, bias, mean))
    codec = dataclasses.replace(spec.codec, initial_scale=ScaleSpec((-5, -5, -5)))
    made = dataclasses.replace(spec, model=good, codec=codec)
    assert TaskSpec.from_bytes(made.to_bytes()) == made
    assert (good.size, good.counted_size, good.leaves.count, good.counted_leaves) == (215, 15, 4, 2)
    bad = dataclasses.replace(spec.model, tensors=(weight, mean, bias))
    with pytest.raises(DocumentInvalid, match="a tensor that counts stands behind one that does not"):
        TaskSpec.from_bytes(dataclasses.replace(made, model=bad).to_bytes())


def test_a_task_of_the_format_before_says_which_release_audits_it() -> None:
    with pytest.raises(DocumentInvalid, match=r"is fl-platform/task/1, .*; audit that task with fl-platform 0\.1\.x$"):
        TaskSpec.from_bytes(changed("format", "fl-platform/task/1"))
