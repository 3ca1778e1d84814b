"""Deploy the platform's contracts with Brownie: the same artifacts, plan and deployment file as `fl-platform deploy`.

    make brownie ARGS='run deploy_brownie --network fl-anvil'
    make brownie ARGS='run deploy_brownie main deployments/sepolia.json --network fl-sepolia'

A node that holds unlocked accounts (anvil, ganache) lends its first one, and gets a faucet token as well. Elsewhere
FL_PLATFORM_WALLET names a keystore file, and FL_PLATFORM_PASSWORD its password (Brownie asks when it is not set).
What Brownie compiled must be what this package ships, apart from the metadata that Brownie cannot leave out; what is
sent is the shipped creation code.
"""

from __future__ import annotations

import os
from pathlib import Path

from brownie import accounts, network, project, web3
from brownie.network.account import LocalAccount

from fl_platform.chain.artifacts import Artifact, load
from fl_platform.chain.types import ZERO_ADDRESS, Deployed
from fl_platform.errors import ChainError, ConfigError, IntegrityError
from fl_platform.ledger import deploy

WALLET_VARIABLE = "FL_PLATFORM_WALLET"
PASSWORD_VARIABLE = "FL_PLATFORM_PASSWORD"
# Ends what solc appends to the code: two bytes of length follow the CBOR map, one INVALID opcode precedes it.
CBOR_LENGTH_BYTES = 2


def main(file: str = "") -> None:
    """Deploy to the active network and write the deployment file (default deployments/NETWORK.json)."""
    name = network.show_active().removeprefix("fl-")
    path = Path(file or f"deployments/{name}.json")
    local = len(accounts) > 0
    deployer = accounts[0] if local else _wallet()
    names = (*deploy.CONTRACTS, deploy.TOKEN) if local else deploy.CONTRACTS
    for contract in (*names, deploy.PROOFS):
        _require_same_code(load(contract))
    deployed = _create_all(deployer, names) | {deploy.PROOFS: _create(deployer, deploy.PROOFS)}
    deployment = deploy.Deployment(
        network=name,
        chain_id=web3.eth.chain_id,
        genesis=bytes(web3.eth.get_block(0)["hash"]),
        deployer=_address(deployer.address),
        contracts=deployed,
        digests={contract: load(contract).digest for contract in deployed},
    )
    deployment.write(path)
    print(f"{len(deployed)} contracts on {name} (chain {deployment.chain_id}); written to {path}")


def _wallet() -> LocalAccount:
    place = os.environ.get(WALLET_VARIABLE)
    if not place:
        raise ConfigError(f"this node holds no unlocked account: set {WALLET_VARIABLE} to a keystore file")
    return accounts.load(place, password=os.environ.get(PASSWORD_VARIABLE))


def _create_all(deployer: LocalAccount, names: tuple[str, ...]) -> dict[str, Deployed]:
    """Send one creation per contract, nonce by nonce: each is told the others' addresses before they exist."""
    sender, base = _address(deployer.address), deployer.nonce
    planned = {name: deploy.created_address(sender, base + number) for number, name in enumerate(names)}
    wires = {parameter: planned[name] for parameter, name in deploy.WIRES.items() if name in planned}
    wires |= {"disputes_": ZERO_ADDRESS, "guardian": sender, "guardian_": sender}
    done = {}
    for name in names:
        arguments = [wires[wanted] for wanted in load(name).abi.constructor_names]
        done[name] = _create(deployer, name, *arguments)
        if done[name].address != planned[name]:
            raise ChainError(f"{name} is not where it was planned: something else sends from {deployer.address}")
    return done


def _create(deployer: LocalAccount, name: str, *arguments: object) -> Deployed:
    """Send one creation and hold the code that stands afterwards against the shipped one."""
    artifact = load(name)
    encoded = artifact.abi.encode_constructor(*arguments)
    # By a plain transaction: a container's own `deploy` would send Brownie's bytes, not the shipped ones.
    sent = deployer.transfer(data="0x" + (artifact.bytecode + encoded).hex())
    sent.wait(1)
    code = bytes(web3.eth.get_code(sent.contract_address))
    if artifact.masked(code) != artifact.runtime:
        raise ChainError(f"{name} at {sent.contract_address} is not the shipped code: do not send money there")
    return Deployed(
        name, _address(sent.contract_address), bytes.fromhex(sent.txid.removeprefix("0x")), sent.block_number
    )


def _require_same_code(artifact: Artifact) -> None:
    """Raise IntegrityError unless Brownie's build of the contract is the shipped one."""
    build = project.get_loaded_projects()[0]._build.get(artifact.name)
    compiled = bytes.fromhex(build["deployedBytecode"].removeprefix("0x"))
    length = int.from_bytes(compiled[-CBOR_LENGTH_BYTES:], "big") + CBOR_LENGTH_BYTES
    # code ends in a byte 0xfe where something follows it: here Brownie's metadata, if no constants do anyway
    if compiled[:-length] not in (artifact.runtime, artifact.runtime + b"\xfe"):
        raise IntegrityError(
            f"{artifact.name}: Brownie compiled {len(compiled)} bytes, not the shipped {len(artifact.runtime)}; "
            f"run `make compile`, and compare brownie-config.yaml with foundry.toml"
        )


def _address(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
