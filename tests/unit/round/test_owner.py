"""What an owner publishes: rules, initial model, frozen base; and who has to fetch the base."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fl_platform.audit.auditor import Auditor
from fl_platform.chain.signer import Signer
from fl_platform.errors import ConfigError, DocumentInvalid, ObjectTooLarge, StoreMissing, UpdateHeaderMismatch
from fl_platform.flower.keys import create_node_key, load_node_key
from fl_platform.learning.base import base_digest, encode_base
from fl_platform.learning.datasets import load_digits_split
from fl_platform.learning.models import digits_mlp
from fl_platform.learning.parameters import initial_module, model_spec
from fl_platform.learning.plan import TrainPlan
from fl_platform.learning.task import DataTask, LearningTask
from fl_platform.ledger.binding import bind
from fl_platform.protocol.spec import NO_BASE, Money
from fl_platform.round import membership
from fl_platform.round.offer import Offer
from fl_platform.round.owner import Owner
from fl_platform.round.trainer import Trainer
from fl_platform.round.transport import LocalTransport
from fl_platform.store.memory import MemoryStore
from fl_platform.task.decrypting import UpdateOpener
from fl_platform.task.reading import TaskReader
from fl_platform.task.workspace import party, reveal_key
from tests.support.chain import AGGREGATOR, OWNER, Stage, stage
from tests.support.small_task import SmallTask, open_small_task


def adapted(width: int = 16, *, before: int = 64, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A frozen layer, at random, under a learned one."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(before, width, dtype=dtype), nn.ReLU(), nn.Linear(width, 10))
    module[1].requires_grad_(requires_grad=False)
    return module


def rows(factory: object = adapted) -> LearningTask:
    split = load_digits_split()
    return DataTask(factory, split.train.take(slice(0, 60)), split.test)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, SmallTask]]:
    with stage() as own:
        yield own, open_small_task(own, tmp_path_factory.mktemp("base"), trainers=1, learning=[rows()])


def fresh(scene: tuple[Stage, SmallTask]) -> TaskReader:
    own, task = scene
    return TaskReader(own.owner, task.reader.store, task.reader.task)


def test_the_rules_name_the_base_of_the_seeded_model_and_the_store_has_it(scene: tuple[Stage, SmallTask]) -> None:
    module, spec = initial_module(adapted, seed=1), fresh(scene).spec
    assert spec.base_model == base_digest(encode_base(module))
    assert spec.model.digest == model_spec(module, "digits-mlp").digest
    assert spec.model.size == 10 * 16 + 10


def test_who_has_other_frozen_numbers_gets_the_tasks(scene: tuple[Stage, SmallTask]) -> None:
    wanted = encode_base(initial_module(adapted, seed=1))
    reader = fresh(scene)
    assert reader.base(adapted) == wanted
    assert reader.base(lambda: pytest.fail("built again")) == wanted


def test_who_has_the_tasks_own_fetches_nothing(
    scene: tuple[Stage, SmallTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = fresh(scene)
    assert reader.spec.base_model != NO_BASE
    monkeypatch.setattr(reader, "object", lambda *_, **__: pytest.fail("fetched"))
    assert reader.base(partial(initial_module, adapted, seed=1)) is None


def test_a_store_sends_no_more_than_the_partys_own_model_is_long(scene: tuple[Stage, SmallTask]) -> None:
    with pytest.raises(ObjectTooLarge, match=r"more than the 2\d{3} bytes"):
        fresh(scene).base(partial(adapted, dtype=torch.float16))
    assert len(fresh(scene).base(adapted) or b"") > 64 * 16 * 4


def test_a_base_that_is_nowhere_is_missing(scene: tuple[Stage, SmallTask]) -> None:
    reader = fresh(scene)
    assert reader.spec.base_model != NO_BASE
    with pytest.raises(StoreMissing):
        reader.reading(MemoryStore()).base(adapted)


def test_a_task_that_learns_everything_has_no_base_and_builds_no_model(tmp_path: Path) -> None:
    with stage() as own:
        reader = open_small_task(own, tmp_path, trainers=1, learning=[rows(digits_mlp)]).reader
        assert reader.spec.base_model == NO_BASE
        assert reader.base(lambda: pytest.fail("built")) is None


def test_other_objects_than_the_rules_name_are_not_published(scene: tuple[Stage, SmallTask]) -> None:
    own, task = scene
    spec = task.reader.spec
    own.owner.mint(own.owner.address, spec.money.pot)
    initial = task.reader.object(spec.initial_model)
    base = task.reader.object(spec.base_model)
    owner = Owner(contracts=own.owner, store=MemoryStore())
    for objects in ((initial,), (base, initial), (initial, base, base), (initial, base + b"\0")):
        with pytest.raises(ConfigError, match="not those that the rules name"):
            owner.open(spec, objects)
    with pytest.raises(ConfigError, match="not those that the rules name"):
        owner.open(replace(spec, base_model=NO_BASE), (initial, base))


class Scaled(nn.Module):
    """An adapter's shape: a frozen layer of half precision, a learned one, and a scalar in between."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(64, 16, dtype=torch.bfloat16).requires_grad_(requires_grad=False)
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.norm, self.head = nn.BatchNorm1d(16), nn.Linear(16, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.base(images.flatten(1)).to(self.scale.dtype)
        logits: torch.Tensor = self.head(torch.relu(self.norm(self.scale * hidden)))
        return logits


@pytest.mark.parametrize("commitments", ["none", "pedersen"])
def test_a_whole_task_of_an_adapter_with_a_scalar_is_sealed_and_audited(commitments: str, tmp_path: Path) -> None:
    with stage() as own:
        parties = [rows(Scaled), rows(lambda: nn.DataParallel(Scaled()))]
        task = open_small_task(
            own, tmp_path, trainers=2, rounds=2, bits=16, learning=parties, commitments=commitments
        )
        sealed = task.aggregator.run(LocalTransport(task.trainers))
        reader = TaskReader(own.owner, task.reader.store, task.reader.task)
        opener = UpdateOpener(
            reader.store, domain=reader.domain, spec=reader.spec,
            recipient=AGGREGATOR.address, key=reveal_key(AGGREGATOR),
        )  # fmt: skip
        report = Auditor(reader, opener=opener).audit()
        assert report.ok, report
        assert [tensor.name for tensor in reader.spec.model.tensors][:2] == ["scale", "norm.weight"]
        assert "base.weight" not in sealed[-1].judgement.model
        assert sealed[-1].judgement.model["scale"].shape == ()
        assert [trainer.reader.base(Scaled) for trainer in task.trainers] == [reader.object(reader.spec.base_model)] * 2


@pytest.mark.parametrize(
    ("factory", "error", "words"),
    [
        (digits_mlp, UpdateHeaderMismatch, r"'3\.weight' has shape \(10, 16\) in .* shape \(10, 64\)"),
        (partial(adapted, width=15), UpdateHeaderMismatch, r"'3\.weight' has shape \(10, 16\) in the task's"),
        (partial(adapted, before=63), DocumentInvalid, r"tensor '1\.weight' is not F32 of shape \(16, 63\)"),
        (partial(adapted, before=65), DocumentInvalid, r"tensor '1\.weight' is not F32 of shape \(16, 65\)"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), ConfigError, "'1.weight' has no shape yet"),
    ],
    ids=["other", "other width", "narrower", "wider", "lazy"],
)
def test_a_trainer_with_another_model_is_refused_before_any_order(
    scene: tuple[Stage, SmallTask], factory: object, error: type[Exception], words: str, tmp_path: Path
) -> None:
    own, task = scene
    trainer = Trainer(
        reader=fresh(scene), contracts=own.owner, signer=OWNER, learning=rows(factory), workdir=tmp_path
    )
    with pytest.raises(error, match=words) as caught:
        trainer.check_model()
    assert "\n" not in str(caught.value)
    task.trainers[0].check_model()


def test_a_layer_that_only_one_party_freezes_is_refused_before_any_order(
    scene: tuple[Stage, SmallTask], tmp_path: Path
) -> None:
    """The learned tensors are the task's, and yet each party would learn over another layer."""
    reader = fresh(scene)
    reader.__dict__["spec"] = replace(reader.spec, base_model=NO_BASE)
    trainer = Trainer(reader=reader, contracts=scene[0].owner, signer=OWNER, learning=rows(), workdir=tmp_path)
    with pytest.raises(ConfigError, match=r"'1\.weight' is frozen in this party's model, and the task's model freezes"):
        trainer.check_model()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"algorithm": "fedyogi"}, "algorithm 'fedyogi' is unknown; this release has fedavg"),
        ({"algorithm": "fedprox"}, "fedprox needs mu_ppm"),
        ({"algorithm": "scaffold", "optimizer": "adam"}, "scaffold corrects plain gradient steps"),
        ({"parameters": (("mu_ppm", 1),)}, "fedavg has no parameter 'mu_ppm'"),
    ],
)
def test_rules_that_this_release_cannot_follow_are_refused_before_a_stake_is_locked(
    scene: tuple[Stage, SmallTask], change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    own, task = scene
    reader = fresh(scene)
    reader.__dict__["spec"] = replace(reader.spec, training=replace(reader.spec.training, **change))
    newcomer = Signer(bytes(31) + b"\x77")
    key = load_node_key(create_node_key(tmp_path, "new").private)
    binding = bind(newcomer, key, domain=reader.domain, task=task.reader.task)
    with pytest.raises(ConfigError, match=words):
        membership.join(reader, own.as_(newcomer), stake=None, binding=binding)
    with pytest.raises(ConfigError, match=words):
        Trainer(
            reader=reader, contracts=own.owner, signer=OWNER, learning=rows(adapted), workdir=tmp_path
        ).check_model()


def test_a_listed_aggregator_is_told_before_it_locks_itself_out(scene: tuple[Stage, SmallTask], tmp_path: Path) -> None:
    own, task = scene
    reader = fresh(scene)
    key = load_node_key(create_node_key(tmp_path, "listed").private)
    binding = bind(AGGREGATOR, key, domain=reader.domain, task=task.reader.task)
    with pytest.raises(ConfigError, match=r"is aggregator 1 of \d+ of task \d+: as a trainer"):
        membership.join(reader, own.as_(AGGREGATOR), stake=None, binding=binding)
    alone = replace(reader.spec, witnesses=(reader.spec.owner,))
    assert "the owner alone is the witness" in membership.of_witnesses(alone)
    assert membership.of_witnesses(replace(alone, witnesses=(AGGREGATOR.address,))) == ""


@pytest.mark.parametrize(
    ("name", "factory", "good"),
    [
        ("digits-mlp", digits_mlp, True),
        ("mine", digits_mlp, False),
        ("digits-cnn", digits_mlp, False),
        ("digits-mlp", adapted, False),
    ],
)
def test_only_a_standard_model_is_scored_by_validation_rows(name: str, factory: object, *, good: bool) -> None:
    plan = TrainPlan(epochs=1, batch_size=32, learning_rate=0.1)
    money = Money(bytes(20), pot=10, rounds=2, stake=5, bond=20, fee_bps=500)
    offer = Offer("scored", name, money, trainers=3, plan=plan, worth="leave-one-out", validation_root=bytes(range(32)))
    who = {"owner": party(OWNER), "aggregators": (party(AGGREGATOR),), "auditors": ()}
    if good:
        assert offer.draft(rows(factory), **who)[0].model.name == name  # type: ignore[arg-type]
        return
    with pytest.raises(ConfigError, match=f"model '{name}' is none of .* use anchored"):
        offer.draft(rows(factory), **who)  # type: ignore[arg-type]


class Drawn(nn.Module):
    """Random features, another set each time, that no party sends."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("features", torch.randn(64, 16))
        self.out = nn.Linear(16, 10)


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (Drawn, "'features' comes out differently each time"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), "'1.weight' has no shape yet"),
        (lambda: digits_mlp().requires_grad_(requires_grad=False), "nothing to learn"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10, dtype=torch.complex64)), "'1.weight' is complex"),
    ],
    ids=["drawn", "lazy", "frozen", "complex"],
)
def test_what_cannot_be_learned_is_refused_at_the_opening(factory: object, words: str, tmp_path: Path) -> None:
    with stage() as own, pytest.raises(ConfigError, match=words) as caught:
        open_small_task(own, tmp_path, trainers=1, learning=[rows(factory)])
    assert "\n" not in str(caught.value)
