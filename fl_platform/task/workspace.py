"""A party's folder: wallets, store, chain connection, deployment, journals. Everything a role needs, opened once.

DIR/wallets/NAME.json   encrypted keystores          DIR/store/         content-addressed objects
DIR/chain/              the embedded chain            DIR/deployments/   where the contracts stand, by network
DIR/roles/NAME/         what a role has signed        DIR/journal/       transactions sent, by network and wallet
DIR/past/               the same of restarted development chains, by network and genesis

Tests: tests/unit/round/test_doctor.py
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fl_platform.chain import wallets
from fl_platform.chain.client import Chain, connect
from fl_platform.chain.signer import Signer
from fl_platform.config import DEFAULT, Network, Policy
from fl_platform.errors import WalletError
from fl_platform.ledger import deploy
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.deploy import Deployment
from fl_platform.protocol.spec import Party
from fl_platform.store.disk import DiskStore
from fl_platform.store.interface import Store
from fl_platform.task.past import FOLDER as PAST
from fl_platform.task.past import Kept, put_aside
from fl_platform.task.reading import TaskReader

if TYPE_CHECKING:
    from fl_platform.store.keywrap import RevealKey

COIN_WEI = 10**21  # what a wallet is given on a local chain: enough gas for any rehearsal


class Workspace:
    """One folder on one network. Close it (or use `with`) to let go of the chain."""

    def __init__(
        self,
        root: Path,
        network: Network,
        *,
        store: Store | None = None,
        password: str | None = None,
        light: bool = False,
        verify: bool = False,
        journal: str | None = "",
        policy: Policy = DEFAULT,
        accepted: frozenset[bytes] = frozenset(),
    ) -> None:
        """Open nothing yet; chain and store are opened when first used.

        `password`: of all wallets of this folder; `light`: cheap keystores (rehearsals); `verify`: replay the embedded
        chain's signed transactions instead of trusting its checked snapshot. `journal`: processes of one wallet share
        one and wait for each other, so where several wallets share a folder name the wallet; None: this one only reads.
        `policy`: how patient to be with the chain. `accepted`: see `TaskReader`.
        """
        self.root, self.network = root, network
        self._store, self._password, self._light, self._verify = store, password, light, verify
        self._journal_name, self._policy, self._accepted = journal, policy, accepted
        self._signers: dict[str, Signer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the chain, if it was opened."""
        if "chain" in self.__dict__:
            self.chain.close()
            del self.__dict__["chain"]

    @cached_property
    def chain(self) -> Chain:
        """The network's chain. Raises ChainBusy, RpcUnavailable."""
        folder = self.root / "chain" if self.network.embedded else None
        journal = self._journal_file()
        return connect(self.network, folder=folder, journal=journal, policy=self._policy, verify=self._verify)

    def _journal_file(self) -> Path | None:
        if self._journal_name is None:
            return None
        name = f"{self.network.name}.{self._journal_name}" if self._journal_name else self.network.name
        return self.root / "journal" / name

    @cached_property
    def store(self) -> Store:
        """The object store: the one given, else this folder's disk."""
        return self._store if self._store is not None else DiskStore(self.root / "store")

    @property
    def deployment_file(self) -> Path:
        """Where this network's deployment is written down."""
        return self.root / "deployments" / f"{self.network.name}.json"

    def deployment(self) -> Deployment:
        """Read the deployment and check the code on chain against this package.

        Raises ConfigError, DeploymentMismatch.
        """
        found = Deployment.read(self.deployment_file)
        deploy.check(self.chain, found)
        return found

    def adopt(self, path: Path) -> tuple[Deployment, tuple[Kept, ...]]:
        """Keep another party's deployment file as this network's, once the code on chain is this package's.

        What this folder has of another, gone chain is put aside. Raises ConfigError, DeploymentMismatch.
        """
        found = Deployment.read(path)
        deploy.check(self.chain, found)
        kept = self.put_aside()
        found.write(self.deployment_file)
        return found, kept

    def put_aside(self) -> tuple[Kept, ...]:
        """Put aside what belongs to a restarted development chain before this one; see `past`. Raises ConfigError."""
        known = any((self.root / room).exists() for room in ("deployments", "journal", PAST))
        return put_aside(self.root, self.chain) if known else ()

    def deploy(self, signer: Signer, *, with_token: bool) -> Deployment:
        """Deploy all contracts and write the deployment file."""
        from fl_platform.ledger import proofs

        done = deploy.deploy(self.chain, signer, with_token=with_token, with_disputes=True)
        done = proofs.add_proofs(self.chain, signer, done)
        done.write(self.deployment_file)
        return done

    @cached_property
    def _contracts(self) -> Contracts:
        return Contracts(self.chain, self.deployment())

    def contracts(self, signer: Signer | None = None) -> Contracts:
        """Return the platform's contracts, for a wallet or just to read."""
        return self._contracts if signer is None else self._contracts.with_signer(signer)

    def reader(self, task: int) -> TaskReader:
        """Return what chain and store say of a task."""
        return TaskReader(self.contracts(), self.store, task, accepted=self._accepted)

    # --- wallets ---------------------------------------------------------------------------------------------------

    def create_wallet(self, name: str, *, private_key: bytes | None = None) -> Signer:
        """Make a wallet under this folder's password. Raises WalletError when the name is taken."""
        wallets.create(self.root / "wallets", name, self._secret(), light=self._light, private_key=private_key)
        if private_key is not None:
            self._signers[name] = Signer(private_key)
        return self.signer(name)

    def signer(self, name: str) -> Signer:
        """Unlock a wallet. Raises WalletError (missing, wrong password)."""
        if name not in self._signers:
            self._signers[name] = wallets.unlock(self.root / "wallets" / f"{name}.json", self._secret())
        return self._signers[name]

    def fund(self, signer: Signer, *, tokens: int = 0) -> None:
        """Give a wallet coin and faucet tokens (local networks only)."""
        if self.chain.balance(signer.address) < COIN_WEI // 10:
            self.chain.fund(signer.address, COIN_WEI)
        if tokens:
            self.contracts(signer).mint(signer.address, tokens)

    def role_folder(self, name: str) -> Path:
        """Return the folder in which a role keeps what it has signed."""
        return self.root / "roles" / self.network.name / name

    def _secret(self) -> str:
        if self._password is None:
            raise WalletError(
                f"this step signs: give the wallets' password ({wallets.PASSWORD_VARIABLE} or --password-file)"
            )
        return self._password


def reveal_key(signer: Signer) -> RevealKey:
    """Return the key pair to which trainers wrap update keys for this wallet."""
    from fl_platform.store.keywrap import RevealKey

    return RevealKey.derive(signer.derive(b"reveal"))


def party(signer: Signer) -> Party:
    """Return how a task's rules name this wallet."""
    from zk.curve import bn254

    return Party(signer.address, bn254.encode(reveal_key(signer).public))


def environment() -> Mapping[str, str]:
    """Return the process's environment; the one place that reads it."""
    return os.environ
