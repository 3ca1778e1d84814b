"""`fl-platform prove`: make a sealed round's settlement proof, and hand it to the contract.

Tests: tests/docs/test_examples.py
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fl_platform.cli.common import (
    Options,
    address_of,
    hexed,
    json_option,
    pick_wallet,
    read_proof,
    reading,
    signing,
    task_argument,
    wallet_option,
    write_json,
)

if TYPE_CHECKING:
    from fl_platform.audit.proving import SettlementStatement
    from fl_platform.chain.types import TxReceipt
    from fl_platform.ledger.proofs import Accepted, Proofs
    from fl_platform.task.workspace import Workspace
    from zk.settlement.proof_file import ProofFile


@dataclass(frozen=True)
class _Done:
    """What became of one call."""

    found: SettlementStatement
    development: bool  # whether anybody can forge for the task's key
    earlier: Accepted | None  # the chain had accepted a proof before
    made: ProofFile | None
    cpu_s: float
    receipt: TxReceipt | None
    file: Path | None


@click.command()
@task_argument
@click.argument("round_number", metavar="[ROUND]", type=click.IntRange(0), required=False)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False),
    help="Where the proof goes. Default without --submit: proof-TASK-ROUND.json in this folder.",
)  # fmt: skip
@click.option("--submit", is_flag=True, help="Hand the proof to the contract; the wallet pays the gas.")
@click.option(
    "--claimant", metavar="ADDRESS", help="Who will hand the proof in: address or wallet here. Default: the wallet."
)
@click.option(
    "--from", "from_file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="With --submit: hand in this proof file, made for the wallet elsewhere, instead of making one.",
)  # fmt: skip
@click.option(
    "--proving-key", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The .zkey of the task's ceremony (docs/PROOF_KEYS.md). Development keys are made again.",
)  # fmt: skip
@wallet_option
@json_option
@click.pass_obj
def prove(
    options: Options, task: int, round_number: int | None, out: Path | None, submit: bool, claimant: str | None,
    from_file: Path | None, proving_key: Path | None, wallet: str | None, json_file: Path | None,
) -> None:  # fmt: skip
    """Make a sealed round's settlement proof, and hand it to the contract.

    The proof shows that claims, reputations and weights follow by the task's program from what the round's tape has as
    given: chain, receipts and inner products; not that the products are of the updates. The task must have been opened
    with `--proofs N`; a round that its circuit does not hold is said so (exit 3). ROUND is the newest sealed one when
    left out. A proof is bound to one claimant: nobody else can hand it in (--from hands in what was proved elsewhere).
    Needs the extra `fast`. A round that the chain has accepted a proof for is said so, and not proved again unless
    --out asks for the file.

    Example: fl-platform prove 1 --submit --wallet alice
    """
    from fl_platform.cli.show import console

    if submit and claimant is not None:
        raise click.UsageError("--submit hands the proof in from the wallet: --claimant is for somebody else's")
    if from_file is not None and (not submit or out is not None):
        raise click.UsageError("--from goes with --submit and without --out: the proof is made already")
    given = None if from_file is None else read_proof(from_file)
    if submit:
        with signing(options, wallet) as own:
            done = _prove(own.workspace, task, round_number, own.signer.address, out, own.signer, given, proving_key)
    else:
        chosen = address_of(options, claimant or pick_wallet(options, wallet))
        with reading(options) as workspace:
            done = _prove(workspace, task, round_number, chosen, out, None, None, proving_key)
    _show(console(json_file), done)
    write_json(json_file, _as_json(task, done))


def _prove(
    workspace: Workspace, task: int, round_number: int | None, claimant: bytes, out: Path | None, signer: Any,
    given: ProofFile | None, proving_key: Path | None,
) -> _Done:  # fmt: skip
    from fl_platform.audit import proving
    from fl_platform.cli.show import working
    from fl_platform.ledger.proofs import Proofs

    reader = workspace.reader(task)
    reader.history()
    proofs = Proofs(workspace.contracts(signer), signer)
    named = given.context.round if round_number is None and given is not None else round_number
    number = proving.last_sealed(reader) if named is None else named
    found = proving.settlement_of(reader, number)
    earlier = proving.accepted_proof(proofs, task, found)
    development = reader.proof_key().development
    if earlier is not None and out is None:
        return _Done(found, development, earlier, None, 0.0, None, None)
    if given is not None:
        proving.check_handed(proofs, task, found, given, claimant=claimant)
        return _Done(found, development, None, given, 0.0, _submit(proofs, given), None)
    started = time.process_time()
    with working("proving") as say:
        made = proving.prove(
            proofs, task, found, reader.proof_key(), claimant=claimant, proving_key=proving_key, watch=say
        )
    cpu_s = time.process_time() - started
    file = out or (None if signer else Path(f"proof-{task}-{number}.json"))
    if file is not None:  # before it is handed in: that may fail
        file.write_bytes(made.to_bytes())
    receipt = _submit(proofs, made) if signer and earlier is None else None
    return _Done(found, development, earlier, made, cpu_s, receipt, file)


def _submit(proofs: Proofs, made: ProofFile) -> TxReceipt | None:
    from fl_platform.cli.show import working

    with working("handing the proof in"):
        return proofs.submit(made)


def _show(out: Any, done: _Done) -> None:
    from fl_platform.cli.show import pairs

    found = done.found
    lines = [
        ("round", f"{found.round}, room for {found.trainers} trainers"),
        ("commitment", f"0x{found.commitment:064x}"),
        ("key", found.key.hex() + (" (development: anybody can forge)" if done.development else "")),
    ]
    if done.earlier is not None:
        lines.append(("on chain", f"accepted before, handed in by {hexed(done.earlier.claimant)}: nothing to do"))
    if done.made is not None:
        how = f"in {done.cpu_s:.1f} CPU-seconds, " if done.cpu_s else "elsewhere, "
        lines.append(("proved", f"{how}for {_claimant(done.made)}"))
    if done.receipt is not None:
        lines.append(("submitted", f"{hexed(done.receipt.transaction)}, {done.receipt.gas_used:,} gas"))
    if done.file is not None:
        lines.append(("file", str(done.file)))
    pairs(out, "", lines)


def _claimant(made: ProofFile) -> str:
    return f"0x{made.context.claimant:040x}"


def _as_json(task: int, done: _Done) -> dict[str, Any]:
    return {
        "task": task,
        "round": done.found.round,
        "trainers": done.found.trainers,
        "key": hexed(done.found.key),
        "development_key": done.development,
        "commitment": f"0x{done.found.commitment:064x}",
        "accepted_before": None if done.earlier is None else {"claimant": hexed(done.earlier.claimant)},
        "claimant": None if done.made is None else _claimant(done.made),
        "cpu_seconds": round(done.cpu_s, 3),
        "transaction": None if done.receipt is None else hexed(done.receipt.transaction),
        "gas": None if done.receipt is None else done.receipt.gas_used,
        "file": None if done.file is None else str(done.file),
    }
