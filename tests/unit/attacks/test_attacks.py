"""Each attacker does what its name says; the registry is what `--attack` accepts."""

from __future__ import annotations

import numpy as np
import pytest

from fl_platform.attacks import ATTACKS, View, make_attack, parse_attacks
from fl_platform.attacks.base import Delta, combine, noise_like, norm, scaled_to
from fl_platform.attacks.poisoning import alie_factor
from fl_platform.errors import ConfigError


def model(seed: int) -> Delta:
    rng = np.random.default_rng(seed)
    return {"w": rng.normal(size=(5, 4)).astype(np.float32), "b": rng.normal(size=3).astype(np.float32)}


def view(**changes: object) -> View:
    fields: dict[str, object] = {
        "honest": model(0), "parent": model(1), "previous": (model(2), model(3), model(4)),
        "rng": np.random.default_rng(9), "round": 3, "others": tuple(model(s) for s in range(10, 16)), "hostile": 2,
    }  # fmt: skip
    return View(**{**fields, **changes})  # type: ignore[arg-type]


def flat(delta: Delta) -> np.ndarray:
    return np.concatenate([value.reshape(-1).astype(np.float64) for value in delta.values()])


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_every_attack_keeps_names_shapes_and_dtypes_and_says_what_it_is(name: str) -> None:
    attack = make_attack(name)
    for where in (view(), view(previous=(), round=0, others=())):
        forged = attack.forge(where)
        assert {k: (v.shape, v.dtype) for k, v in forged.items()} == {
            k: (v.shape, v.dtype) for k, v in where.honest.items()
        }
        assert all(np.isfinite(v).all() for v in forged.values())
    assert attack.name == name
    assert attack.attacker
    assert attack.expected
    assert type(attack).__doc__


def test_forgeries_are_what_they_say() -> None:
    honest, parent, previous = flat(model(0)), flat(model(1)), [flat(model(s)) for s in (2, 3, 4)]
    others = np.array([flat(model(s)) for s in range(10, 16)])
    expected = {
        "free-rider": 0 * honest,
        "zero": 0 * honest,
        "sign-flip": -honest,
        "scale": 5 * honest,
        "whisper": honest / 20,
        "replay-last": parent - previous[0],
        "replay-scaled": 3 * (parent - previous[0]),
        "replay-mix": (parent - previous[0]) + 0.7 * (previous[0] - previous[1]) + 0.49 * (previous[1] - previous[2]),
        "replay-layer": 32 * (parent - previous[0]),  # these models have one layer
        "replay-first-layer": parent - previous[0],
        "mimic": others[0],
        "ipm": -0.5 * others.mean(axis=0),
        "alie": others.mean(axis=0) - alie_factor(8, 2) * others.std(axis=0),
        "label-flip": honest,
        "random-hashes": honest,
        "nan": honest,
    }
    for name, value in expected.items():
        assert np.allclose(flat(make_attack(name).forge(view())), value, rtol=1e-5, atol=1e-6), name
    for name in ("noise", "sybil-clones"):
        assert norm(make_attack(name).forge(view())) == pytest.approx(norm(model(0)), rel=1e-5)
    assert set(expected) | {"noise", "sybil-clones", "replay-noise", "leaked-copies"} == set(ATTACKS)


def test_alie_factor_is_the_papers() -> None:
    """Baruch 2019, section 3: n = 50, f = 24 gives s = 2 and phi(z) = 24 / 26."""
    assert alie_factor(50, 24) == pytest.approx(1.4261, abs=1e-3)


def test_replay_noise_hides_the_replay_by_its_share() -> None:
    replay = flat(make_attack("replay-last").forge(view()))
    noisy = flat(make_attack("replay-noise").forge(view()))
    assert np.linalg.norm(noisy - replay) == pytest.approx(0.5 * np.linalg.norm(replay), rel=1e-5)


@pytest.mark.parametrize(("name", "last"), [("replay-layer", True), ("replay-first-layer", False)])
def test_a_replayed_layer_is_one_end_alone(name: str, last: bool) -> None:
    parent, previous = ({**model(s), "out.w": model(s + 50)["w"], "out.b": model(s + 50)["b"]} for s in (1, 2))
    forged = make_attack(name).forge(view(honest=parent, parent=parent, previous=(previous,)))
    assert {tensor: bool(value.any()) for tensor, value in forged.items()} == {
        "w": not last, "b": not last, "out.w": last, "out.b": last,
    }  # fmt: skip
    weight = "out.w" if last else "w"
    factor = 32 if last else 1
    np.testing.assert_allclose(forged[weight], factor * (parent[weight] - previous[weight]), rtol=1e-5)


def test_leaked_copies_are_their_victim_under_noise_of_their_own() -> None:
    clones = parse_attacks(["leaked-copies=2"])
    where = view()
    first, second = (flat(clone.forge(where)) for clone in clones)
    for copy in (first, second):
        assert np.linalg.norm(copy - flat(model(10))) == pytest.approx(0.3 * norm(model(10)), rel=1e-5)
    assert not np.array_equal(first, second)


def test_sybils_of_one_object_send_one_vector_per_round() -> None:
    clones = parse_attacks(["sybil-clones=3"])
    assert len({id(clone) for clone in clones}) == 1
    first, second = clones[0].forge(view()), clones[1].forge(view(rng=np.random.default_rng(77), honest=model(5)))
    assert np.array_equal(flat(first), flat(second))
    assert not np.array_equal(flat(first), flat(clones[0].forge(view(round=4, rng=np.random.default_rng(1)))))


def test_labels_are_mirrored() -> None:
    labels = np.arange(10)
    assert make_attack("label-flip").poison(labels, classes=10).tolist() == list(range(9, -1, -1))
    assert make_attack("noise").poison(labels, classes=10).tolist() == labels.tolist()


def test_tampering() -> None:
    data = b"H" * 32 + bytes(21)
    assert make_attack("random-hashes").tamper(data) is None
    forged = make_attack("nan").tamper(data)
    assert forged is not None
    assert len(forged) == len(data)
    assert forged[:32] == data[:32]
    assert np.isnan(np.frombuffer(forged[32:52], dtype="<f4")).all()
    assert make_attack("noise").tamper(data) == data


def test_parsing() -> None:
    names = [attack.name for attack in parse_attacks(["label-flip=2", "zero"])]
    assert names == ["label-flip", "label-flip", "zero"]
    assert parse_attacks(["zero=0"]) == ()
    for text in ("nonsense", "zero=", "zero=-1", "zero=x", "zero=1=2", "=3"):
        with pytest.raises(ConfigError):
            parse_attacks([text])


def test_helpers() -> None:
    delta = model(0)
    assert norm(scaled_to(delta, 7.0)) == pytest.approx(7.0, rel=1e-5)
    assert norm(scaled_to(combine([(0.0, delta)]), 7.0)) == 0.0
    assert norm(noise_like(delta, np.random.default_rng(0))) == pytest.approx(norm(delta), rel=1e-5)
