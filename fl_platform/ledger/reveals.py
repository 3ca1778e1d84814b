"""The reveals contract with a wallet: force a package on chain, accuse a trainer, demand a key or content, answer.

See contracts/interfaces/IReveals.sol. Amounts in wei, times in seconds of block time. Packages and leaves that come out
of events are as their senders wrote them; the contract has checked signatures and paths.

Tests: tests/unit/dispute/test_key_watcher.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fl_platform.chain.abi import Decoded
from fl_platform.chain.journal import Step
from fl_platform.chain.signer import Signer, require_signer
from fl_platform.chain.types import TxReceipt
from fl_platform.ledger.contracts import Contracts
from fl_platform.ledger.evidence import send_evidence
from fl_platform.ledger.records import ContentLeafRecord, struct
from fl_platform.protocol.bundle import WrappedKey
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.keypackage import wrap_keys
from fl_platform.protocol.receipt import Receipt, SignedReceipt
from fl_platform.protocol.spec import Party, TaskSpec
from fl_platform.protocol.terms import Terms
from zk.commitment.dleq import DleqProof
from zk.curve import bn254
from zk.curve.bn254 import Point

CONTRACT = "Reveals"
BONDS = "Referee"  # who locks what a demand costs
KEY, CONTENT = 0, 1  # IReveals.Subject
Keys = tuple[WrappedKey, ...]
Package = tuple[Keys, bytes]  # wrapped keys, and their trainer's signature
NO_PACKAGE: Package = ((), b"")


@dataclass(frozen=True)
class ShownKey:
    """KeyWraps.Box: a wrapped key with the public key that it was made for. Any numbers, on the curve or not."""

    recipient: bytes
    key: tuple[int, int]
    ephemeral: tuple[int, int]
    box: bytes

    @property
    def public(self) -> bytes:
        """The public key that it was made for, 64 bytes."""
        return _bytes(self.key)

    @property
    def wrapped(self) -> WrappedKey:
        """The wrapped key alone."""
        return WrappedKey(self.recipient, _bytes(self.ephemeral), self.box)

    def is_for(self, party: Party) -> bool:
        """Say whether the trainer made it for this party and its public key."""
        return (self.recipient, self.public) == (party.address, party.wrap_key)


@dataclass(frozen=True)
class ShownPackage:
    """IReveals.Package."""

    boxes: tuple[ShownKey, ...]
    signature: bytes


@dataclass(frozen=True)
class ShownParty:
    """IReveals.Party: a party of a task, with the document that names it."""

    document: bytes
    place: int
    key: Point


@dataclass(frozen=True)
class CipherLeaf:
    """CipherLeaves.Leaf."""

    body: bytes
    siblings: tuple[bytes, ...]


@dataclass(frozen=True)
class ShownModel:
    """IReveals.Model: a task's terms, and the block of parameters that a leaf is of."""

    terms: tuple[object, ...]
    block: tuple[object, ...]


@dataclass(frozen=True)
class ShownInteger:
    """One integer of an update, as ciphertext and as content."""

    cipher: CipherLeaf  # empty where the integer lies behind its tensor's end
    content: ContentLeafRecord
    index: int  # the content leaf's
    place: int  # of the integer in it, 0 .. 127


@dataclass(frozen=True)
class RevealDemand:
    """IReveals.Demand."""

    challenger: bytes
    deadline: int
    subject: int
    bits: int
    trainer: bytes
    bond: int
    recipient: bytes
    key: Point  # of the recipient; zero for content
    index: int
    leaves: int  # content: of the tree
    round: int
    task: int
    receipt: bytes  # struct hash

    @property
    def id(self) -> bytes:
        """What the contract calls it: a hash of what was asked."""
        words = (self.subject.to_bytes(32, "big"), self.recipient.rjust(32, b"\0"), self.index.to_bytes(32, "big"))
        return keccak256(self.receipt + b"".join(words))


def boxes_of(keys: Keys, spec: TaskSpec) -> tuple[ShownKey, ...]:
    """Return wrapped keys as the contract takes them, with the public keys of the specification."""
    public = wrap_keys(spec)
    return tuple(
        ShownKey(k.recipient, _coordinates(public.get(k.recipient, bytes(64))), _coordinates(k.ephemeral), k.ciphertext)
        for k in keys
    )


def keys_of(boxes: Any) -> Keys:
    """Return decoded boxes of an event as wrapped keys. Signed for another public key, they fail `check_package`."""
    return tuple(ShownKey(recipient, key, ephemeral, box).wrapped for recipient, key, ephemeral, box in boxes)


def show_party(spec: TaskSpec, party: Party) -> ShownParty:
    """Return a party with its place in the specification. Raises PointInvalid for a wrap key that is no point."""
    document = spec.to_bytes()
    text = f'"address":"0x{party.address.hex()}","wrap_key":"0x{party.wrap_key.hex()}"}}'
    place = document.find(text.encode())
    if place > 0 and document[place - 2 : place] == b":{":  # the reference is no recipient: look behind it
        place = document.find(text.encode(), place + 1)
    return ShownParty(document, max(place, 0), bn254.decode(party.wrap_key))


def show_model(terms: Terms, leaf: int) -> ShownModel:
    """Return what says where a leaf lies in an update."""
    return ShownModel(terms.facts(), terms.shown_block(terms.block_of(leaf)))


class Reveals:
    """Reveals as one wallet uses them; without a signer only reads work."""

    def __init__(self, contracts: Contracts, spec: TaskSpec, signer: Signer | None = None) -> None:
        """`spec`: of the one task that this is about. Raises ConfigError where the deployment has none."""
        self._contracts, self._spec, self._signer = contracts, spec, signer
        self._contract = contracts.deployment.contract(CONTRACT)

    @classmethod
    def there(cls, contracts: Contracts) -> bool:
        """Say whether the deployment has this contract."""
        return CONTRACT in contracts.deployment.contracts

    # --- a trainer ---------------------------------------------------------------------------------------------------

    def force(self, signed: SignedReceipt, keys: Keys, signature: bytes) -> TxReceipt | None:
        """Put a trainer's package on chain. Raises TransactionReverted when it is too late for it."""
        receipt = signed.receipt
        return self._send(
            receipt.task, receipt.round, "force reveal", "forceReveal", signed, (boxes_of(keys, self._spec), signature),
            already=lambda: receipt.struct_hash() in self.forced(receipt.task),
        )  # fmt: skip

    def answer_key(self, demand: RevealDemand, keys: Keys, signature: bytes) -> TxReceipt | None:
        """Show a package with a box for whom a demand names, and take its bond."""
        return self._send(
            demand.task, demand.round, f"answer reveal 0x{demand.id.hex()[:16]}", "answerKey", demand,
            (boxes_of(keys, self._spec), signature), already=lambda: not self.is_open(demand),
        )  # fmt: skip

    def answer_content(self, demand: RevealDemand, receipt: Receipt, leaf: ContentLeafRecord) -> TxReceipt | None:
        """Show a content leaf, and take the demand's bond."""
        return self._send(
            demand.task, demand.round, f"answer reveal 0x{demand.id.hex()[:16]}", "answerContent", demand, receipt,
            leaf, already=lambda: not self.is_open(demand),
        )  # fmt: skip

    # --- a challenger ------------------------------------------------------------------------------------------------

    def bad_wrap(
        self, signed: SignedReceipt, package: ShownPackage, index: int, *, shared: Point, proof: DleqProof
    ) -> TxReceipt | None:
        """Show that box `index` does not hold the committed key. Raises TransactionReverted when it does."""
        receipt = signed.receipt
        return self._show(receipt, "bad wrap", "badWrap", signed, package, index, shared, proof)

    def bad_opening(self, signed: SignedReceipt, key: bytes, wrong: ShownInteger, terms: Terms) -> TxReceipt | None:
        """Show that an integer of the ciphertext is not the committed one. Raises TransactionReverted when it is."""
        receipt = signed.receipt
        return self._show(
            receipt, "bad opening", "badOpening", signed, key, wrong.cipher, wrong.content, (wrong.index, wrong.place),
            show_model(terms, wrong.index),
        )  # fmt: skip

    def demand_key(self, signed: SignedReceipt, party: Party) -> TxReceipt | None:
        """Ask a trainer for a box for a party of the task; locks the bond. None where it was asked before."""
        question = f"demand key 0x{signed.receipt.struct_hash().hex()[:16]} 0x{party.address.hex()}"
        return self._ask(
            signed.receipt, question, "demandKey", signed, party.address, show_party(self._spec, party),
            already=lambda: self.asked(signed.receipt, KEY, party.address, 0),
        )  # fmt: skip

    def demand_content(self, signed: SignedReceipt, index: int, terms: Terms) -> TxReceipt | None:
        """Ask a trainer for a content leaf; locks the bond. None where it was asked before."""
        return self._ask(
            signed.receipt, f"demand content 0x{signed.receipt.struct_hash().hex()[:16]} {index}", "demandContent",
            signed, index, show_model(terms, index),
            already=lambda: self.asked(signed.receipt, CONTENT, bytes(20), index),
        )  # fmt: skip

    def expire(self, demand: RevealDemand) -> TxReceipt | None:
        """End a demand that nobody answered: the bond goes back, the trainer loses stake."""
        return self._send(
            demand.task, demand.round, f"expire reveal 0x{demand.id.hex()[:16]}", "expire", demand,
            already=lambda: not self.is_open(demand),
        )  # fmt: skip

    # --- reading -----------------------------------------------------------------------------------------------------

    def convicted_at(self, receipt: Receipt) -> int:
        """Return when a receipt was shown to lie (wrap, opening, or content withheld), seconds; 0: never."""
        return int(self._contracts.chain.read(self._contract, "convictedAt", receipt.struct_hash()))

    def asked(self, receipt: Receipt, subject: int, recipient: bytes, index: int) -> bool:
        """Say whether this was asked before, answered or not."""
        zero = Point(0, 0)
        asked = RevealDemand(
            bytes(20), 0, subject, 0, bytes(20), 0, recipient, zero, index, 0, 0, 0, receipt.struct_hash()
        )  # fmt: skip
        return any(self._contracts.chain.read(self._contract, "demandOf", asked.id))

    def is_open(self, demand: RevealDemand) -> bool:
        """Say whether a demand waits for its answer or its end."""
        return int.from_bytes(self._contracts.chain.read(self._contract, "demandOf", demand.id)) > 1

    def demands(self, task: int) -> list[RevealDemand]:
        """Return the demands that wait for an answer or their end, oldest first."""
        made = [struct(RevealDemand, event.values["demand"]) for event in self._events(task, "RevealDemanded")]
        return [demand for demand in made if self.is_open(demand)]

    def forced(self, task: int) -> dict[bytes, list[Package]]:
        """Return the packages that were put on chain in time, by the receipt's struct hash, oldest first."""
        return _packages(self._events(task, "RevealForced"))

    def packages(self, task: int) -> dict[bytes, list[Package]]:
        """Return all packages that are on chain, in time or not, by the receipt's struct hash."""
        return _packages([*self._events(task, "RevealForced"), *self._events(task, "KeyShown")])

    def first_forced(self, task: int) -> dict[bytes, tuple[ShownKey, ...]]:
        """Return the boxes of the first package that was put on chain in time, by the receipt's struct hash."""
        found: dict[bytes, tuple[ShownKey, ...]] = {}
        for event in self._events(task, "RevealForced"):
            found.setdefault(event.values["receipt"], tuple(ShownKey(*box) for box in event.values["boxes"]))
        return found

    def shown_packages(self, task: int) -> dict[bytes, list[ShownPackage]]:
        """Return all packages that are on chain, whatever public keys they name, by the receipt's struct hash.

        The contract has checked who signed them.
        """
        found: dict[bytes, list[ShownPackage]] = {}
        for event in (*self._events(task, "RevealForced"), *self._events(task, "KeyShown")):
            package = ShownPackage(tuple(ShownKey(*box) for box in event.values["boxes"]), event.values["signature"])
            found.setdefault(event.values["receipt"], []).append(package)
        return found

    def shown_content(self, task: int) -> dict[bytes, list[tuple[int, ContentLeafRecord]]]:
        """Return the content leaves that answered demands, with their places, by the receipt's struct hash."""
        index = {event.values["id"]: event.values["demand"] for event in self._events(task, "RevealDemanded")}
        found: dict[bytes, list[tuple[int, ContentLeafRecord]]] = {}
        for event in self._events(task, "ContentShown"):
            place = struct(RevealDemand, index[event.values["id"]]).index
            found.setdefault(event.values["receipt"], []).append((place, ContentLeafRecord(*event.values["leaf"])))
        return found

    def _events(self, task: int, name: str) -> list[Decoded]:
        # with the newest block: what is read here is signed, or asked of the contract again before it is used
        first, last = self._contracts.deployment.first_block, self._contracts.chain.head().number
        found = self._contracts.chain.events([self._contract], first=first, last=last, names=[name])
        return [event for event in found if event.values["task"] == task]

    # --- sending -----------------------------------------------------------------------------------------------------

    def _ask(
        self, receipt: Receipt, name: str, function: str, *arguments: Any, already: Callable[[], bool]
    ) -> TxReceipt | None:
        if already():
            return None
        referee = self._contracts.deployment.contract(BONDS)
        bond = int(self._contracts.chain.read(referee, "bondOf", receipt.task))
        token = self._contracts.token_of(receipt.task)
        self._contracts.approve(token, bond, Step(receipt.task, receipt.round, name))
        return self._send(receipt.task, receipt.round, name, function, *arguments, already=already)

    def _show(self, receipt: Receipt, name: str, function: str, *arguments: Any) -> TxReceipt | None:
        step = Step(receipt.task, receipt.round, f"{name} 0x{receipt.struct_hash().hex()[:16]}")
        referee = self._contracts.deployment.contract(BONDS)
        return send_evidence(
            self._contracts.chain, referee, self._contract, function, *arguments, signer=self._wallet(), step=step,
            already=lambda: self.convicted_at(receipt) != 0,
        )  # fmt: skip

    def _send(
        self, task: int, round_number: int, name: str, function: str, *arguments: Any, already: Callable[[], bool]
    ) -> TxReceipt | None:
        return self._contracts.chain.send(
            self._contract, function, *arguments, signer=self._wallet(), step=Step(task, round_number, name),
            already=already,
        )  # fmt: skip

    def _wallet(self) -> Signer:
        return require_signer(self._signer)


def _packages(events: list[Decoded]) -> dict[bytes, list[Package]]:
    found: dict[bytes, list[Package]] = {}
    for event in events:
        package = keys_of(event.values["boxes"]), event.values["signature"]
        found.setdefault(event.values["receipt"], []).append(package)
    return found


def _bytes(point: tuple[int, int]) -> bytes:
    return point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def _coordinates(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[:32], "big"), int.from_bytes(data[32:64], "big")
