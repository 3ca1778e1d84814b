"""A rule that the package has not: one file, opened on contracts that are deployed, run, audited, and a lie felled."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from fl_platform.attacks import lying
from fl_platform.attacks.lying import Lied
from fl_platform.chain.types import Phase
from fl_platform.cli.demo.federation import BOND, FEE_BPS, POT, STAKE, DemoParties, Settings
from fl_platform.cli.demo.lying import lying_aggregator, pursue, watcher_of
from fl_platform.cli.main import cli
from fl_platform.errors import DocumentInvalid, ProgramNotAccepted
from fl_platform.flower.keys import create_node_key, load_node_key
from fl_platform.judging.program import check_rules, is_own, know_program, program_of
from fl_platform.ledger.binding import bind
from fl_platform.protocol.model_spec import MAX_PARAMETERS, ModelSpec, TensorSpec
from fl_platform.protocol.sources import OWN_WORDS
from fl_platform.protocol.spec import Money, TaskSpec, check_spec
from fl_platform.protocol.tape import Tape
from fl_platform.round import membership
from fl_platform.round.offer import Offer
from fl_platform.round.transport import LocalTransport
from fl_platform.rules.compose import Rule, compose
from fl_platform.rules.entries import Chosen, Entries
from fl_platform.rules.weights import Weights
from fl_platform.task.accepting import EQUALS, described
from fl_platform.task.workspace import Workspace
from tests.support.rehearsal import QUICK, audit, rehearsal, small_settings
from tests.support.specs import small_spec
from tests.unit.rules.own_rule import by_cosine

PROGRAM = compose(Rule(weighting=by_cosine))


def settings(program: bytes) -> Settings:
    offer = Offer(
        title="weights by cosine", model_name="digits-mlp", money=Money(bytes(20), POT, 2, STAKE, BOND, FEE_BPS),
        trainers=5, plan=QUICK, seed=7, program=program,
    )  # fmt: skip
    return small_settings(offer=offer, byzantine=0)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Workspace, DemoParties]]:
    """A task by the own rule, of people who accept it."""
    with rehearsal(tmp_path / "w", settings(PROGRAM.to_bytes()), accepted=frozenset({PROGRAM.root})) as made:
        yield made


def test_a_task_by_an_own_rule_is_run_and_audited(opened: tuple[Workspace, DemoParties]) -> None:
    workspace, parties = opened
    first, second = parties.aggregator.run(LocalTransport(parties.everybody))
    assert program_of(parties.spec) == PROGRAM
    weights = {v.trainer: v.weight for v in second.bundle.verdicts if v.weight}
    honest = [m.trainer.address for m in parties.members if m.kind == "honest"]
    assert set(honest) <= set(weights)
    assert len({weights[who] for who in honest}) == len(honest), "equal stakes, and yet each weighs by its direction"
    assert first.bundle.after.model != second.bundle.after.model
    assert audit(workspace, parties).exit_code == 0
    assert audit(workspace, parties, key=None).exit_code == 3


def weigh_a_friend(tape: Tape, _: int) -> Lied:
    """Give one entry's weight to another."""
    number = tape.program.column("weight")
    cells = tape.columns[number].astype(object)
    friend, other = sorted(range(len(cells)), key=cells.__getitem__)[-2:]
    cells[friend], cells[other] = cells[friend] + cells[other], 0
    return Lied(number, cells)


def test_a_lie_about_an_own_rule_falls(opened: tuple[Workspace, DemoParties], monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, parties = opened
    monkeypatch.setattr(lying, "LIES", {**lying.LIES, "weigh-a-friend": weigh_a_friend})
    liar = lying_aggregator(workspace, parties, lie="weigh-a-friend", when=0)
    liar.run(LocalTransport(parties.everybody), rounds=1)
    watcher = watcher_of(workspace, parties)
    (found,) = watcher.step(workspace.chain.now())
    finding = pursue(workspace, parties, watcher, found)
    assert finding.upheld
    assert "weight" in finding.move
    assert workspace.contracts().head(parties.task).phase is Phase.COMPENSATED
    assert workspace.contracts().member(parties.task, parties.wallets["aggregator"].address).stake == 0


def test_nobody_goes_by_it_without_having_said_so(opened: tuple[Workspace, DemoParties], tmp_path: Path) -> None:
    workspace, parties = opened
    stranger = workspace.reader(parties.task)
    stranger.accepted = frozenset()
    says = f"go on with --accept-program 0x{PROGRAM.root.hex()}"
    newcomer = parties.wallets["auditor"]
    key = create_node_key(tmp_path, "node")
    binding = bind(newcomer, load_node_key(key.private), domain=stranger.domain, task=parties.task)
    with pytest.raises(ProgramNotAccepted, match=says):
        membership.join(stranger, workspace.contracts(newcomer), stake=None, binding=binding)
    workspace.close()
    for words in (["audit", "1"], ["verify", "1"], ["watch", "1", "--once", "--public", "--wallet", "auditor"]):
        base = ["--workdir", str(tmp_path / "w"), "--network", "embedded"]
        told = CliRunner(env={"FL_PLATFORM_PASSWORD": "test"}).invoke(cli, [*base, *words])
        assert says in str(told.exception) + told.output, words


def test_what_it_reads_and_pays_is_told(opened: tuple[Workspace, DemoParties]) -> None:
    _, parties = opened
    told = described(parties.spec)
    assert told.root == PROGRAM.root
    assert len(told.paid) == EQUALS
    assert min(told.paid) > POT // (2 * EQUALS)
    assert sum(told.paid) + told.dust <= POT
    assert told.reads["claimed sample counts"] == ()
    assert told.claimed == ()
    assert "median_length" in told.hints


def test_the_packages_own_rule_as_bytes_needs_no_yes(tmp_path: Path) -> None:
    with rehearsal(tmp_path, settings(compose(Rule()).to_bytes())) as (workspace, parties):
        assert parties.spec.aggregation.program
        assert not is_own(parties.spec)
        assert audit(workspace, parties).exit_code == 3  # nothing is sealed


@pytest.mark.parametrize("data", [b"", b"flp1", PROGRAM.to_bytes()[:-1], PROGRAM.to_bytes() + bytes(160)])
def test_what_is_no_program_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentInvalid):
        know_program(data)


def by_own_word(entries: Entries, chosen: Chosen) -> Weights:
    """Weigh everybody by a number that the task freezes."""
    word = entries.b.own_word(OWN_WORDS[0])
    return Weights(entries.b.select(chosen.summed, word, 0), word)


def own_spec(program: bytes = PROGRAM.to_bytes(), **rule: object) -> TaskSpec:
    """Return a small task's rules that bring a program; keyword arguments replace fields of the aggregation rule."""
    spec = small_spec()
    return replace(spec, aggregation=replace(spec.aggregation, program=know_program(program), **rule))


@pytest.mark.parametrize("named", [{"selection": "the-best"}, {"weighting": "by-cosine"}, {"screens": ("odd",)}])
def test_a_program_of_parts_that_the_package_has_not_is_an_own_one(named: dict[str, object]) -> None:
    spec = own_spec(**named)
    check_spec(spec)
    check_rules(spec)
    assert is_own(spec)
    assert described(spec).root == PROGRAM.root


def test_a_huge_declared_model_costs_no_memory() -> None:
    sides = (MAX_PARAMETERS // 2**20, 2**19)
    huge = replace(own_spec(), model=ModelSpec("huge", (TensorSpec("w", sides), TensorSpec("b", sides))))
    check_spec(huge)
    tracemalloc.start()
    try:
        told, (_, peak) = described(huge), tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(told.paid) == EQUALS
    assert peak < 64 << 20


@pytest.mark.parametrize("length", [1, 31, 33])
def test_a_programs_digest_has_no_other_length(length: int) -> None:
    spec = own_spec()
    check_spec(spec)
    with pytest.raises(DocumentInvalid, match=f"aggregation.program has {length} bytes"):
        check_spec(replace(spec, aggregation=replace(spec.aggregation, program=bytes(length))))


def test_rules_without_a_word_that_their_program_reads_are_refused_where_they_are_read(
    opened: tuple[Workspace, DemoParties], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, parties = opened
    program = compose(Rule(weighting=by_own_word)).to_bytes()
    rules = replace(parties.spec.aggregation, program=know_program(program))
    objects = {rules.program: program, parties.spec.digest: replace(parties.spec, aggregation=rules).to_bytes()}
    reader = workspace.reader(parties.task)
    monkeypatch.setattr(reader, "object", lambda digest, **_: objects[digest])
    with pytest.raises(DocumentInvalid, match=f"reads the rules' word {OWN_WORDS[0]}"):
        _ = reader.spec
