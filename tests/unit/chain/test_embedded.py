"""The embedded chain: the shared suite, what stays on disk, and who may hold it."""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from eth_utils.address import to_checksum_address

from fl_platform.chain.client import Chain, connect
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.chain.evm import EvmNode, Genesis
from fl_platform.chain.journal import Step
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import BlockRef, Call
from fl_platform.config import MINIMAL
from fl_platform.errors import ChainBusy, ChainError, ConfigError, IntegrityError, TransactionReverted
from tests.support.backends import ME, OTHER, BackendSuite
from tests.support.chain import AGGREGATOR, EMBEDDED, ETHER, roster, seal, stage, wallet


class TestEmbedded(BackendSuite):
    """The shared suite."""

    @pytest.fixture
    def chain(self) -> Iterator[Chain]:
        """A chain in memory."""
        with connect(EMBEDDED, policy=MINIMAL) as chain:
            chain.fund(ME.address, 100 * ETHER)
            yield chain


def grow(folder: Path, blocks: int = 5) -> BlockRef:
    """Make a chain with some history and return its head."""
    with EmbeddedBackend(folder) as chain:
        for number in range(blocks):
            chain.fund(wallet(number).address, ETHER)
        chain.advance_to(chain.head().timestamp + 1_000)
        return chain.head()


def test_it_outlives_its_process(tmp_path: Path) -> None:
    head = grow(tmp_path)
    with EmbeddedBackend(tmp_path) as chain:
        assert chain.head() == head
        assert chain.balance(wallet(3).address) == ETHER


def test_verify_replays_every_block_to_the_same_hash(tmp_path: Path) -> None:
    head = grow(tmp_path)
    with EmbeddedBackend(tmp_path, verify=True) as chain:
        assert chain.head() == head


def test_equal_histories_have_equal_hashes(tmp_path: Path) -> None:
    assert grow(tmp_path / "a") == grow(tmp_path / "b")


def test_without_a_snapshot_the_log_is_replayed(tmp_path: Path) -> None:
    head = grow(tmp_path)
    (tmp_path / "chain.snap").unlink()
    with EmbeddedBackend(tmp_path) as chain:
        assert chain.head() == head


def test_blocks_after_the_snapshot_are_replayed(tmp_path: Path) -> None:
    grow(tmp_path)
    kept = (tmp_path / "chain.snap").read_bytes()
    with EmbeddedBackend(tmp_path) as chain:
        chain.fund(OTHER.address, 5)
        head = chain.head()
    (tmp_path / "chain.snap").write_bytes(kept)
    with EmbeddedBackend(tmp_path) as chain:
        assert chain.head() == head
        assert chain.balance(OTHER.address) == 5


def test_a_revert_is_on_the_record(tmp_path: Path) -> None:
    with EmbeddedBackend(tmp_path) as chain:
        chain.fund(OTHER.address, 5)
        mark, head = chain.snapshot(), chain.head()
        chain.fund(OTHER.address, 7)
        chain.revert(mark)
        assert chain.head() == head
        chain.advance_to(head.timestamp + 50)
        end = chain.head()
    for verify in (False, True):
        with EmbeddedBackend(tmp_path, verify=verify) as chain:
            assert chain.head() == end
            assert chain.balance(OTHER.address) == 5


def test_a_revert_below_the_snapshot_is_replayed(tmp_path: Path) -> None:
    with EmbeddedBackend(tmp_path) as chain:
        mark = chain.snapshot()
        chain.fund(OTHER.address, 5)
        chain.close()
    kept = (tmp_path / "chain.snap").read_bytes()
    with EmbeddedBackend(tmp_path) as chain:
        assert chain.head().number == 1
        with pytest.raises(ConfigError, match="not taken in this process"):
            chain.revert(mark)
        again = chain.snapshot()
        chain.fund(OTHER.address, 6)
        chain.revert(again)
    (tmp_path / "chain.snap").write_bytes(kept)
    with EmbeddedBackend(tmp_path) as chain:
        assert chain.balance(OTHER.address) == 5


@pytest.mark.parametrize("at", [0, 9, 60, 200, -1])
def test_a_damaged_snapshot_stops(tmp_path: Path, at: int) -> None:
    grow(tmp_path)
    path = tmp_path / "chain.snap"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="delete it"):
        EmbeddedBackend(tmp_path)
    path.unlink()
    EmbeddedBackend(tmp_path).close()


def test_a_snapshot_of_another_history_is_not_used(tmp_path: Path) -> None:
    head = grow(tmp_path / "a")
    grow(tmp_path / "b", blocks=7)
    shutil.copy(tmp_path / "b" / "chain.snap", tmp_path / "a" / "chain.snap")
    with EmbeddedBackend(tmp_path / "a") as chain:
        assert chain.head() == head


def test_every_flipped_byte_of_the_log_stops_or_was_never_acknowledged(tmp_path: Path) -> None:
    grow(tmp_path, blocks=2)
    (tmp_path / "chain.snap").unlink()
    path = tmp_path / "chain.log"
    original = path.read_bytes()
    for at in range(4, len(original), 37):
        data = bytearray(original)
        data[at] ^= 0x10
        path.write_bytes(data)
        with contextlib.suppress(IntegrityError):
            EmbeddedBackend(tmp_path).close()
            # a length that now points beyond the end looks like an unfinished record: nothing but that may pass
            assert len(path.read_bytes()) < len(original)
        path.write_bytes(original)
        (tmp_path / "chain.snap").unlink(missing_ok=True)


@pytest.mark.parametrize("cut", [1, 20, 40, 100])
def test_an_unfinished_record_is_cut_off(tmp_path: Path, cut: int) -> None:
    head = grow(tmp_path)
    (tmp_path / "chain.snap").unlink()
    path = tmp_path / "chain.log"
    path.write_bytes(path.read_bytes()[:-cut])
    with EmbeddedBackend(tmp_path) as chain:
        assert chain.head().number == head.number - (1 if cut < 93 else 2)
        chain.fund(OTHER.address, 1)


def test_a_replay_that_differs_is_noticed(tmp_path: Path) -> None:
    grow(tmp_path)
    (tmp_path / "chain.snap").unlink()
    other = EvmNode(Genesis(1_700_000_000)).head()
    manifest = tmp_path / "chain.json"
    manifest.write_text(manifest.read_text().replace(str(1_700_000_000), str(1_600_000_000)))
    assert other.number == 0
    with pytest.raises(IntegrityError, match="record 0 at byte 0 is damaged"):
        EmbeddedBackend(tmp_path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chain.json").write_text('{"format": "something/9"}')
    with pytest.raises(ConfigError, match="not a chain of this version"):
        EmbeddedBackend(tmp_path)


def test_a_second_process_is_told_who_holds_it(tmp_path: Path) -> None:
    with EmbeddedBackend(tmp_path):
        code = "import pathlib, sys, fl_platform.chain.embedded as e; e.EmbeddedBackend(pathlib.Path(sys.argv[1]))"
        command = [sys.executable, "-c", code, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "ChainBusy" in done.stderr
        assert f"held by process {multiprocessing.current_process().pid}" in done.stderr
    EmbeddedBackend(tmp_path).close()


def test_the_same_process_cannot_hold_it_twice_either(tmp_path: Path) -> None:
    with EmbeddedBackend(tmp_path), pytest.raises(ChainBusy):
        EmbeddedBackend(tmp_path)


def test_a_closed_chain_takes_nothing(tmp_path: Path) -> None:
    chain = EmbeddedBackend(tmp_path)
    chain.close()
    chain.close()
    with pytest.raises(ChainError, match="closed"):
        chain.fund(OTHER.address, 1)


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """In a process of its own under RLIMIT_FSIZE: the kernel refuses to let the log grow."""
    head = grow(tmp_path)
    size = (tmp_path / "chain.log").stat().st_size
    code = f"""
import resource, signal
from pathlib import Path
from fl_platform.chain.embedded import EmbeddedBackend
from fl_platform.errors import IntegrityError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
chain = EmbeddedBackend(Path({str(tmp_path)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, ({size} + 50, {size} + 50))
try:
    chain.fund(bytes(19) + b"\\x01", 5)
except IntegrityError as error:
    assert "free space" in str(error), error
    print("refused")
chain.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "refused\n", done.stderr
    with EmbeddedBackend(tmp_path) as chain:
        assert chain.head() == head


def test_wall_clock_chains_follow_the_clock(tmp_path: Path) -> None:
    before = int(time.time())
    with EmbeddedBackend(tmp_path, wall_clock=True) as chain:
        chain.fund(OTHER.address, 1)
        assert before <= chain.head().timestamp <= int(time.time()) + 1
    with EmbeddedBackend(tmp_path) as chain:
        chain.fund(OTHER.address, 1)
        assert chain.head().timestamp >= before


def test_a_state_with_a_missing_node_is_noticed() -> None:
    with EmbeddedBackend() as chain:
        for number in range(4):
            chain.fund(wallet(number).address, ETHER)
        node = EvmNode(chain.node.genesis, dict(chain.node.store))
        node.check_state()
        del node.store[bytes(node.chain.get_canonical_head().state_root)]
        with pytest.raises(KeyError):
            node.check_state()


def test_web3_sees_the_same_chain_and_its_sends_are_recorded(tmp_path: Path) -> None:
    with EmbeddedBackend(tmp_path) as chain:
        chain.fund(ME.address, ETHER)
        client = chain.web3()
        assert client.eth.chain_id == chain.chain_id()
        assert client.eth.get_balance(to_checksum_address(ME.address)) == ETHER
        fields = {
            "nonce": 0,
            "gas": 21_000,
            "chainId": chain.chain_id(),
            "maxFeePerGas": 10**10,
            "maxPriorityFeePerGas": 0,
        }
        raw = ME.sign_transaction(Call(OTHER.address, b"", ME.address, 9), **fields)
        digest = client.eth.send_raw_transaction(raw)
        assert client.eth.get_transaction_receipt(digest)["status"] == 1
        assert chain.receipt(bytes(digest)) is not None
        head = chain.head()
    with EmbeddedBackend(tmp_path, verify=True) as chain:
        assert chain.head() == head
        assert chain.balance(OTHER.address) == 9


@pytest.mark.slow
def test_a_hundred_rounds_open_within_five_seconds(tmp_path: Path) -> None:
    """The bar of the issue; CPU time, because the machine is shared."""
    trainers = [wallet(10 + number) for number in range(3)]
    with stage(folder=tmp_path) as s:
        task = s.open(s.spec(rounds=100))
        for trainer in trainers:
            s.join(task, trainer)
        own = s.bond(task, AGGREGATOR)
        for number in range(100):
            roster(own, task, number, trainers)
            seal(own, task, number, trainers)
        head = s.chain.head()
    began = time.process_time()
    with EmbeddedBackend(tmp_path) as chain:
        assert chain.head() == head
    assert time.process_time() - began < 5.0


def test_a_trial_run_sees_the_block_to_come() -> None:
    """The last second of a window: a call that passes now but not in the next block is refused before it costs gas."""
    trainers = [wallet(10)]
    with stage() as s:
        task = s.open(s.spec(rounds=1))
        s.join(task, trainers[0])
        own = s.bond(task, AGGREGATOR)
        s.chain.wait_until(own.window(task)[1] - 1)
        before = s.chain.backend.nonce(AGGREGATOR.address)
        with pytest.raises(TransactionReverted, match="RoundLedger_TooLate"):
            roster(own, task, 0, trainers)
        assert s.chain.backend.nonce(AGGREGATOR.address) == before


def test_several_wallets_send_at_once(tmp_path: Path) -> None:
    senders = [wallet(number) for number in range(4)]
    with connect(EMBEDDED, folder=tmp_path / "chain", journal=tmp_path / "journal", policy=MINIMAL) as chain:
        for sender in senders:
            chain.fund(sender.address, ETHER)

        def pay(sender: Signer) -> None:
            for number in range(5):
                chain.transfer(OTHER.address, 1, signer=sender, step=Step(1, number, "pay"))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(pay, senders))
        assert chain.balance(OTHER.address) == 20
        head = chain.head()
    with connect(
        EMBEDDED, folder=tmp_path / "chain", journal=tmp_path / "journal", policy=MINIMAL, verify=True
    ) as chain:
        assert chain.head() == head
