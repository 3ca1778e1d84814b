"""All policies that there are hold, none is read over, and a trainer signs nothing that one of them forbids."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fl_platform.chain.signer import Signer
from fl_platform.errors import ConfigError, PolicyRefused, RejectedInput
from fl_platform.flower.keys import create_node_key, load_node_key
from fl_platform.flower.trainer_server import ask, serve_trainer
from fl_platform.learning.machine import CPU
from fl_platform.ledger.binding import bind
from fl_platform.protocol.messages import Submission, decode_message, encode_message
from fl_platform.round import membership, site
from fl_platform.round import trainer as trainer_module
from fl_platform.round.site import Site, code_of, policy_files, read_policy
from fl_platform.round.site_policy import PUBLIC_CODE, UNKNOWN_CODE, Code
from fl_platform.round.trainer import Trainer
from fl_platform.round.transport import LocalTransport
from tests.support.chain import Stage, stage
from tests.support.small_task import SmallTask, open_small_task


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the machine's policy would be; and no variable."""
    path = tmp_path / "etc" / "site.toml"
    monkeypatch.setattr(site, "MACHINE_FILE", path)
    monkeypatch.delenv(site.VARIABLE, raising=False)
    return path


def test_all_files_that_are_there_hold(tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Site(tmp_path).policies() == ()
    own = write(tmp_path / "site.toml", "max_rounds = 3")
    write(machine, "max_rounds = 9")
    named = write(tmp_path / "named.toml", "min_rows = 10")
    monkeypatch.setenv(site.VARIABLE, str(named))
    assert [policy.path for policy in Site(tmp_path).policies()] == [named, machine, own]
    assert [policy.path for policy in Site().policies()] == [named, machine]
    Site().allow_update(1, norm=1.0, rows=10)
    with pytest.raises(PolicyRefused, match=r"named\.toml does not allow task 1: min_rows"):
        Site().allow_update(1, norm=1.0, rows=9)


def test_a_variable_takes_no_file_away(tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(machine, "min_rows = 10")
    monkeypatch.setenv(site.VARIABLE, str(write(tmp_path / "wide.toml", "min_rows = 1")))
    with pytest.raises(PolicyRefused, match=r"etc/site\.toml does not allow"):
        Site().allow_update(1, norm=1.0, rows=9)
    monkeypatch.setenv(site.VARIABLE, str(tmp_path / "absent.toml"))
    with pytest.raises(ConfigError, match=r"names .*absent\.toml, which is not there: correct the path"):
        Site().policies()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused_with_what_to_run(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "site.toml", "min_rows = 1", mode)
    with pytest.raises(ConfigError, match=rf"\(mode {mode:o}\): `chmod go-w {path}`"):
        read_policy(path)
    path.chmod(0o644)
    assert read_policy(path).min_rows == 1


def test_what_cannot_be_read_is_never_no_policy(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"cannot read the site's policy .*No such file"):
        Site(tmp_path).policies()
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match="is no file"):
        Site(tmp_path).policies()
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="is no file"):
        Site(tmp_path).policies()
    path.unlink()
    path.write_bytes(b'owners = ["\xff"]')
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        Site(tmp_path).policies()
    write(path, "#" * (site.MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="over 65,536 bytes"):
        Site(tmp_path).policies()


def test_a_folder_that_cannot_be_looked_into_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_path: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "lstat", refused)
    with pytest.raises(ConfigError, match="cannot be seen"):
        policy_files(tmp_path, {})


def test_code_is_hashed_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unrun_here.py").write_text("raise AssertionError('it was run')\n")
    (tmp_path / "unrun_package").mkdir()
    (tmp_path / "unrun_package" / "__init__.py").write_text("raise AssertionError('it was run')\n")
    (tmp_path / "unrun_package" / "inner.py").write_bytes(b"# of a package\r\n")
    digest = hashlib.sha256((tmp_path / "unrun_here.py").read_bytes()).hexdigest()
    assert code_of("unrun_here:Mine") == Code(digest=f"sha256:{digest}")
    inner = hashlib.sha256(b"# of a package\r\n").hexdigest()
    assert code_of("unrun_package.inner:Mine") == Code(digest=f"sha256:{inner}")
    assert code_of("digits") == code_of("", model="digits-mlp") == PUBLIC_CODE
    assert code_of("") == code_of("unrun_nowhere:Mine") == code_of("unrun_here.inner:Mine") == UNKNOWN_CODE
    # A task's rules name a model; they do not choose a file here.
    assert code_of("", model="unrun_here:Mine") == UNKNOWN_CODE


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, SmallTask]]:
    """A task in its round 0."""
    with stage() as own:
        yield own, open_small_task(own, tmp_path_factory.mktemp("task"), trainers=2)


def trainer_at(
    scene: tuple[Stage, SmallTask], folder: Path, *, hour: int = 12, code: Code = PUBLIC_CODE
) -> Trainer:
    """Trainer 0 once more, in a site of its own and at an hour of the day."""
    first = scene[1].trainers[0]
    return Trainer(
        reader=first.reader, contracts=scene[0].as_(first._signer), signer=first._signer, learning=first._learning,
        workdir=folder / "role", machine=CPU, site=Site(folder, code),
        now=lambda: datetime(2026, 3, 5, hour, tzinfo=UTC),
    )  # fmt: skip


def signed(folder: Path) -> list[Path]:
    """Everything that a trainer leaves behind of what it signed or sealed."""
    return [path for path in (folder / "role").rglob("*") if path.is_file()]


@pytest.mark.parametrize("words", ["max_update_norm = 0.0001", "min_rows = 100000"])
def test_nothing_is_signed_over_a_limit(
    scene: tuple[Stage, SmallTask], tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "site.toml", words)
    trainer, order = trainer_at(scene, tmp_path), scene[1].aggregator.order()
    put: list[bytes] = []
    monkeypatch.setattr(trainer.reader.store, "put", put.append)
    with pytest.raises(PolicyRefused, match=words.split()[0]):
        trainer.handle(encode_message(order))
    assert (put, signed(tmp_path)) == ([], [])


def test_an_order_that_is_given_again_costs_no_second_training(
    scene: tuple[Stage, SmallTask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "site.toml", "max_update_norm = 0.0001")
    trainer, order = trainer_at(scene, tmp_path), scene[1].aggregator.order()
    with pytest.raises(PolicyRefused):
        trainer.commit(order)
    learn = trainer_module.train_locally
    monkeypatch.delattr(trainer_module, "train_locally")
    with pytest.raises(PolicyRefused, match="max_update_norm"):
        trainer.commit(replace(order, previous_bundle=b"\x07" * 32))
    monkeypatch.setattr(trainer_module, "train_locally", learn, raising=False)
    write(path, "max_update_norm = 1000")  # the officer thought it over: the next order finds it
    assert trainer.commit(order).receipt.round == 0


def test_a_policy_that_allows_it_changes_nothing_that_is_signed(
    scene: tuple[Stage, SmallTask], tmp_path: Path
) -> None:
    order = scene[1].aggregator.order()
    write(tmp_path / "one" / "site.toml", 'max_update_norm = 1000\nmin_rows = 1\nmax_stake = "2"\nmax_rounds = 1')
    assert trainer_at(scene, tmp_path / "one").commit(order) == trainer_at(scene, tmp_path / "two").commit(order)


def test_outside_of_its_hours_nothing_is_learned_and_what_was_signed_is_handed_out(
    scene: tuple[Stage, SmallTask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "site.toml", 'hours = "20:00-06:00"')
    order = scene[1].aggregator.order()
    with monkeypatch.context() as untrained:
        untrained.delattr(trainer_module, "train_locally")
        with pytest.raises(PolicyRefused, match="12:00, opens 2026-03-05 20:00") as caught:
            trainer_at(scene, tmp_path).commit(order)
    assert caught.value.outside.endswith("2026-03-05 20:00 UTC on")
    assert signed(tmp_path) == []
    at_night = trainer_at(scene, tmp_path, hour=21).commit(order)
    assert trainer_at(scene, tmp_path).commit(order) == at_night


@pytest.mark.parametrize(
    "words",
    [
        'owners = ["0x0000000000000000000000000000000000000001"]', f'rules = ["0x{"00" * 32}"]', "max_fee_bps = 99",
        'max_stake = "1.9"', "min_auditors = 1", "epsilon = 8", f'code = ["sha256:{"00" * 32}"]',
    ],
)  # fmt: skip
def test_an_order_of_a_task_that_is_not_allowed_starts_no_training(
    scene: tuple[Stage, SmallTask], tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "site.toml", words)
    monkeypatch.delattr(trainer_module, "train_locally")
    trainer = trainer_at(scene, tmp_path, code=Code(digest="sha256:" + "11" * 32))
    with pytest.raises(PolicyRefused, match=f"{words.split()[0]} allows"):
        trainer.commit(scene[1].aggregator.order())
    assert signed(tmp_path) == []


def test_a_trainer_that_is_told_of_no_site_obeys_the_machine(
    scene: tuple[Stage, SmallTask], tmp_path: Path, machine: Path
) -> None:
    write(machine, "max_update_norm = 0.0001")
    first = scene[1].trainers[0]
    trainer = Trainer(
        reader=first.reader, contracts=scene[0].as_(first._signer), signer=first._signer, learning=first._learning,
        workdir=tmp_path / "role", machine=CPU,
    )  # fmt: skip
    with pytest.raises(PolicyRefused):
        trainer.commit(scene[1].aggregator.order())
    assert signed(tmp_path) == []


def test_a_damaged_policy_signs_nothing(scene: tuple[Stage, SmallTask], tmp_path: Path) -> None:
    write(tmp_path / "site.toml", "max_update_nrom = 1000")
    with pytest.raises(ConfigError, match="did you mean max_update_norm"):
        trainer_at(scene, tmp_path).commit(scene[1].aggregator.order())
    assert signed(tmp_path) == []


def test_the_aggregator_is_told_no_number(
    scene: tuple[Stage, SmallTask], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By the socket at which its orders come in; the site's own log has the numbers."""
    write(tmp_path / "site.toml", "max_update_norm = 0.0001")
    path, order = tmp_path / "s", encode_message(scene[1].aggregator.order())
    with serve_trainer(trainer_at(scene, tmp_path), path), pytest.raises(RejectedInput) as caught:
        ask(path, order, timeout_s=60.0, who="trainer")
    assert str(caught.value) == "the site's policy does not allow it"
    assert "max_update_norm allows updates of an L2 norm of 0.0001 at most" in caplog.text


@pytest.mark.parametrize("text", ["max_fee_bps = 99", 'max_stake = "1"', "min_auditors = 1"])
def test_no_stake_is_locked_in_a_task_that_is_not_allowed(
    scene: tuple[Stage, SmallTask], tmp_path: Path, text: str
) -> None:
    own, task = scene
    write(tmp_path / "site.toml", text)
    newcomer = Signer(bytes(31) + b"\x71")
    key = load_node_key(create_node_key(tmp_path, "new").private)
    binding = bind(newcomer, key, domain=task.reader.domain, task=task.reader.task)
    contracts = own.as_(newcomer)
    with pytest.raises(PolicyRefused, match="does not allow task"):
        membership.join(task.reader, contracts, stake=None, binding=binding, site=Site(tmp_path))
    trainer = Trainer(
        reader=task.reader, contracts=contracts, signer=newcomer, learning=task.trainers[0]._learning,
        workdir=tmp_path, site=Site(tmp_path),
    )  # fmt: skip
    with pytest.raises(PolicyRefused, match="does not allow task"):
        trainer.join()
    assert newcomer.address not in task.reader.history().members


def test_a_submission_is_what_a_peer_gets_where_it_is_allowed(scene: tuple[Stage, SmallTask], tmp_path: Path) -> None:
    write(tmp_path / "site.toml", 'hours = "11:00-13:00"\nmax_update_norm = 1000')
    answer = trainer_at(scene, tmp_path).handle(encode_message(scene[1].aggregator.order()))
    assert isinstance(decode_message(answer, expected=Submission), Submission)


def test_one_trainer_that_may_not_sign_holds_up_nobody_else(scene: tuple[Stage, SmallTask], tmp_path: Path) -> None:
    write(tmp_path / "site.toml", "max_update_norm = 0.0001")
    crew = (trainer_at(scene, tmp_path), scene[1].trainers[1])
    answers = LocalTransport(crew).exchange(scene[1].aggregator.order(), None)  # type: ignore[arg-type]
    (answer,) = (decode_message(answer, expected=Submission) for answer in answers)
    assert isinstance(answer, Submission)
    assert answer.receipt.trainer == crew[1].address
