"""What a working directory keeps of a chain that is gone: a development chain that was restarted is a new one.

Deployment, journals and what roles have signed belong to one genesis: signed again for the next chain of the same id,
with contracts at the same addresses, they would be taken for its own. So they move to DIR/past/NETWORK-GENESIS, and
come back when that chain does. Wallets and stored objects belong to no chain and stay.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fl_platform.chain.client import Chain
from fl_platform.chain.journal import chain_of
from fl_platform.errors import ConfigError
from fl_platform.ledger.deploy import Deployment, is_gone

logger = logging.getLogger(__name__)

FOLDER = "past"


@dataclass(frozen=True)
class Kept:
    """One chain's things, put aside."""

    genesis: bytes  # hash of block 0, 32 bytes
    folder: Path


@dataclass(frozen=True)
class _Old:
    genesis: bytes
    folder: Path
    items: tuple[Path, ...]  # the deployment last: while it is here, an interrupted move is taken up again


def put_aside(root: Path, chain: Chain) -> tuple[Kept, ...]:
    """Move what belongs to other chains of this network's name aside, and bring back what belongs to this one.

    Local chains only: elsewhere another genesis means a wrong or lying end point. Interrupted, run it again. This
    process must not have the network's journal open. Raises ConfigError.
    """
    network = chain.network.name
    found = [old for old in _foreign(root, chain) if old.items]
    if found and not chain.local:
        raise ConfigError(
            f"{chain.backend.name} says that block 0 is 0x{chain.genesis.hex()[:16]}, this folder knows {network} by "
            f"0x{found[0].genesis.hex()[:16]}: it is another chain, or lies; mend the URL, or use another --workdir"
        )
    for old in found:
        for item in old.items:
            _move(item, old.folder / item.relative_to(root))
        logger.info("restarted chain: %d things of the old one are in %s", len(old.items), old.folder)
    _bring_back(root, _aside(root, network, chain.genesis))
    return tuple(Kept(old.genesis, old.folder) for old in found)


def _foreign(root: Path, chain: Chain) -> Iterator[_Old]:
    """Find what belongs to other chains, by their genesis."""
    network, present = chain.network.name, chain.genesis
    file = root / "deployments" / f"{network}.json"
    deployment = _deployment(file)
    rewound = deployment is not None and deployment.genesis == present and is_gone(chain, deployment)
    journals: dict[bytes, list[Path]] = {}
    for path in (root / "journal" / network, *sorted((root / "journal").glob(f"{network}.*"))):
        belongs = chain_of(path)
        if belongs is not None and (belongs != present or rewound):
            journals.setdefault(belongs, []).append(path)
    if deployment is not None and (deployment.genesis != present or rewound):
        journals.setdefault(deployment.genesis, []).extend([*_of_roles(root, network), file])
    elif deployment is None and journals:
        next(iter(journals.values())).extend(_of_roles(root, network))
    for genesis, items in journals.items():
        folder = _aside(root, network, genesis)
        if genesis == present:  # started anew from the same block 0: it can not come back as what it was
            number = next(n for n in range(1, 10_000) if not folder.with_name(f"{folder.name}-{n}").exists())
            folder = folder.with_name(f"{folder.name}-{number}")
        yield _Old(genesis, folder, tuple(items))


def _deployment(file: Path) -> Deployment | None:
    try:
        return Deployment.read(file)
    except ConfigError:  # none, or damaged: deploying writes a new one
        return None


def _of_roles(root: Path, network: str) -> list[Path]:
    """Return what tasks and rounds of the network's chain have left, by their numbers."""
    numbered = (path for room in ("sockets", "slices") for path in sorted(root.glob(f"{room}/{network}-*")))
    return [path for path in (root / "roles" / network, *numbered) if path.exists()]


def _aside(root: Path, network: str, genesis: bytes) -> Path:
    return root / FOLDER / f"{network}-{genesis.hex()[:16]}"


def _bring_back(root: Path, folder: Path) -> None:
    for item in sorted(folder.glob("*/*")):
        there = root / item.relative_to(folder)
        if not there.exists():
            _move(item, there)
    for left in (*sorted(folder.glob("*")), folder):
        if left.is_dir() and not any(left.iterdir()):
            left.rmdir()


def _move(item: Path, there: Path) -> None:
    there.parent.mkdir(parents=True, exist_ok=True)
    while there.exists():  # never over anything
        there = there.with_name(there.name + "~")
    item.rename(there)
