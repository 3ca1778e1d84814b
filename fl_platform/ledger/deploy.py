"""Put the contracts on a chain, remember where, and check that what stands there is what this package holds.

A deployment file (`deployments/NETWORK.json`) names chain, addresses, transactions and artifact digests; it holds no
secrets. Brownie's deploy script writes the same file from the same artifacts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rlp

from fl_platform.chain.artifacts import load
from fl_platform.chain.client import Chain, Contract
from fl_platform.chain.journal import TASKLESS, Step
from fl_platform.chain.signer import Signer
from fl_platform.chain.types import ZERO_ADDRESS, Deployed, hex_address
from fl_platform.errors import ChainError, ConfigError, DeploymentMismatch, StoreFull
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.spec import RELEASE_BEFORE

FORMAT = "fl-platform/deployment/1"
# In this order, nonce by nonce.
CONTRACTS = ("Escrow", "TaskRegistry", "RoundLedger", "Settlement", "Reputation", "LedgerViews")
# Disputes follow, where a deployment has its own; the last is what the ledger trusts.
DISPUTES = ("Poseidon", "Tapes", "Complaints", "Sources", "Reveals", "Referee")
# Has no state and no wires, so that one would do for all deployments on a chain: its gas is counted apart.
SHARED = ("Poseidon",)
TOKEN = "FaucetToken"
PROOFS = "SettlementProofs"  # the gate of settlement proofs; no other contract knows it (`proofs.add_proofs`)
# What a constructor's parameters are called, and which contract each wants.
WIRES = {
    "escrow_": "Escrow",
    "registry_": "TaskRegistry",
    "ledger_": "RoundLedger",
    "settlement_": "Settlement",
    "reveals_": "Reveals",
    "tapes_": "Tapes",
    "poseidon_": "Poseidon",
    "sources_": "Sources",
    "complaints_": "Complaints",
}
# The public getter of each wire.
GETTERS = {
    "escrow": "Escrow",
    "registry": "TaskRegistry",
    "ledger": "RoundLedger",
    "settlement": "Settlement",
    "disputes": "Referee",
    "reveals": "Reveals",
    "tapes": "Tapes",
    "poseidon": "Poseidon",
    "sources": "Sources",
    "complaints": "Complaints",
}

RESTARTED = (
    "a restarted development chain is a new one: `fl-platform deploy` starts anew, or `fl-platform deploy --from FILE` "
    "with the new file of who deployed; what belongs to the old chain is put aside"
)


@dataclass(frozen=True)
class Deployment:
    """Where the platform stands on one chain."""

    network: str
    chain_id: int
    genesis: bytes  # hash of block 0, 32 bytes: tells two development chains of one id apart
    deployer: bytes
    contracts: Mapping[str, Deployed]
    digests: Mapping[str, bytes]  # sha256 of each artifact file

    @property
    def first_block(self) -> int:
        """The block from which events can exist."""
        return min(contract.block for contract in self.contracts.values())

    def contract(self, name: str) -> Contract:
        """Return a contract with its ABI. Raises ConfigError when it is not part of this deployment."""
        try:
            return Contract(name, self.contracts[name].address, load(name).abi)
        except KeyError:
            raise ConfigError(f"no {name} in the deployment on {self.network}; deploy again") from None

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises StoreFull."""
        body = {
            "format": FORMAT,
            "network": self.network,
            "chain_id": self.chain_id,
            "genesis": _hex(self.genesis),
            "deployer": hex_address(self.deployer),
            "contracts": {
                name: {
                    "address": hex_address(at.address),
                    "transaction": _hex(at.transaction),
                    "block": at.block,
                    "artifact": _hex(self.digests[name]),
                }
                for name, at in self.contracts.items()
            },
        }
        temporary = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise StoreFull(f"cannot write {path}: {error.strerror}; free space and run again") from error

    @classmethod
    def read(cls, path: Path) -> Deployment:
        """Read a deployment file. Raises ConfigError when it is missing or malformed."""
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            if value["format"] != FORMAT:
                raise ValueError(f"format {value['format']!r}")
            contracts = {name: _deployed(name, entry) for name, entry in value["contracts"].items()}
            missing = set(CONTRACTS) - contracts.keys()
            if missing:
                raise ValueError(f"{', '.join(sorted(missing))} missing")
            return cls(
                network=str(value["network"]),
                chain_id=int(value["chain_id"]),
                genesis=_bytes(value["genesis"], 32),
                deployer=_bytes(value["deployer"], 20),
                contracts=contracts,
                digests={name: _bytes(entry["artifact"], 32) for name, entry in value["contracts"].items()},
            )
        except FileNotFoundError:
            raise ConfigError(
                f"no contracts are known here ({path} is missing): take over an invitation with `fl-platform follow "
                "FILE`, or put contracts of your own on the chain with `fl-platform deploy`"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ConfigError(
                f"{path} is no deployment file of this version ({error}); deploy again, or use fl-platform "
                f"{RELEASE_BEFORE} for the tasks of its contracts"
            ) from error


def deploy(
    chain: Chain,
    signer: Signer,
    *,
    with_token: bool,
    with_disputes: bool = False,
    disputes: bytes = ZERO_ADDRESS,
    label: str = "",
) -> Deployment:
    """Deploy all contracts (and the faucet token) and return where they are. Restarted, it goes on where it stopped.

    The contracts know each other's addresses from the start, so they take consecutive nonces of `signer`; nothing else
    may send from it meanwhile. `disputes` is the only address that can open disputes (zero: none), unless
    `with_disputes` deploys the package's own. `label` starts a second, independent deployment from the same journal.
    Raises what `Chain.create` raises, and ChainError when the nonces were disturbed.
    """
    names = (*CONTRACTS, *(DISPUTES if with_disputes else ()), *((TOKEN,) if with_token else ()))
    base = _base_nonce(chain, signer, label)
    planned = {name: created_address(signer.address, base + number) for number, name in enumerate(names)}
    wires = {parameter: planned.get(name, ZERO_ADDRESS) for parameter, name in WIRES.items()}
    wires |= {"disputes_": planned.get(DISPUTES[-1], disputes), "guardian": signer.address, "guardian_": signer.address}
    done: dict[str, Deployed] = {}
    for name in names:
        artifact = load(name)
        arguments = [wires[parameter] for parameter in artifact.abi.constructor_names]
        receipt = chain.create(artifact, *arguments, signer=signer, step=step_of(name, label))
        if receipt.contract != planned[name]:
            raise ChainError(
                f"{name} landed at another address than planned: something else sent from "
                f"{hex_address(signer.address)} meanwhile; deploy again under a new label"
            )
        done[name] = Deployed(name, planned[name], receipt.transaction, receipt.block)
    digests = {name: load(name).digest for name in names}
    return Deployment(chain.network.name, chain.chain_id, chain.genesis, signer.address, done, digests)


def check(chain: Chain, deployment: Deployment) -> None:
    """Demand that the chain is the file's, and that code and wiring at each address are this package's.

    Raises ConfigError (another chain, or a restarted one), DeploymentMismatch.
    """
    if (chain.chain_id, chain.genesis) != (deployment.chain_id, deployment.genesis):
        raise ConfigError(
            f"the deployment file is of chain {deployment.chain_id} (genesis {_hex(deployment.genesis)[:10]}), this is "
            f"chain {chain.chain_id} (genesis {_hex(chain.genesis)[:10]}); "
            + (RESTARTED if chain.local else "mend the URL, or take the right file over with `deploy --from FILE`")
        )
    for name, at in deployment.contracts.items():
        artifact = load(name)
        code = chain.backend.code(at.address)
        if not code and is_gone(chain, deployment):
            raise ConfigError(f"the chain ends before the block of {name}'s creation, {at.block}; {RESTARTED}")
        if not code or artifact.masked(code) != artifact.runtime:
            state = "no code" if not code else "other code than this package's"
            raise DeploymentMismatch(f"{name}: {state} at {hex_address(at.address)}; do not send money there")
        _check_wires(chain, deployment, Contract(name, at.address, artifact.abi))


def is_gone(chain: Chain, deployment: Deployment) -> bool:
    """Whether a local chain is shorter than when the contracts were put there: started anew from the same block 0."""
    return chain.local and chain.head().number < max(at.block for at in deployment.contracts.values())


def _check_wires(chain: Chain, deployment: Deployment, contract: Contract) -> None:
    for getter, name in GETTERS.items():
        if getter not in contract.abi.functions() or contract.abi.arity(getter) != 0:
            continue
        if name not in deployment.contracts:  # no disputes, or somebody else's
            continue
        wired = chain.read(contract, getter)
        if wired != deployment.contracts[name].address:
            raise DeploymentMismatch(
                f"{contract.name} trusts {hex_address(wired)} as {name}, the deployment says "
                f"{hex_address(deployment.contracts[name].address)}; do not send money there"
            )


def _base_nonce(chain: Chain, signer: Signer, label: str) -> int:
    """Return the nonce of the first contract: the journal's when a deployment was begun, else the wallet's next."""
    begun = chain.progress(step_of(CONTRACTS[0], label), signer).attempts
    return begun[0].nonce if begun else chain.backend.nonce(signer.address, pending=True)


def step_of(name: str, label: str) -> Step:
    """Return the journal's name of one contract's creation."""
    return Step(TASKLESS, TASKLESS, f"deploy {name} {label}".strip())


def created_address(sender: bytes, nonce: int) -> bytes:
    """Return the address of the contract that `sender` creates with its `nonce`-th transaction."""
    return keccak256(rlp.encode([sender, nonce]))[12:]


def _deployed(name: str, entry: Any) -> Deployed:
    return Deployed(name, _bytes(entry["address"], 20), _bytes(entry["transaction"], 32), int(entry["block"]))


def _bytes(value: str, length: int) -> bytes:
    data = bytes.fromhex(value.removeprefix("0x"))
    if len(data) != length:
        raise ValueError(f"{value} has {len(data)} bytes, expected {length}")
    return data


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
