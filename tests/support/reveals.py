"""A trainer with a real update, real boxes and real signatures on a world with the referee that ships."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from fl_platform.judging.program import terms_of
from fl_platform.ledger.records import ContentLeafRecord, struct
from fl_platform.ledger.reveals import (
    CipherLeaf,
    Package,
    RevealDemand,
    ShownParty,
    boxes_of,
    show_model,
    show_party,
)
from fl_platform.protocol.bundle import WrappedKey
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.keypackage import package_digest
from fl_platform.protocol.leaves import LeafTable
from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec, TensorSpec
from fl_platform.protocol.receipt import Receipt, sign_digest
from fl_platform.protocol.spec import CodecRule, Party, TaskSpec
from fl_platform.store import envelope
from fl_platform.store.keywrap import KeyBox, RevealKey
from fl_platform.task.decrypting import record_of, wrap_context, wrap_for_all
from fl_platform.updates.codec import HEADER_BYTES
from fl_platform.updates.content import content_root, open_content
from tests.support.bound_rounds import CHALLENGER, RefereeWorld, referee_world
from tests.support.contracts import Run
from tests.support.evm import Account, Outcome, account
from tests.support.specs import small_spec
from zk.commitment import dleq
from zk.commitment.dleq import DleqProof
from zk.curve import bn254
from zk.curve.bn254 import Point

BITS = 8
SIZES = (1_000, 37, 1_463)  # three ciphertext leaves, 21 content leaves; no tensor ends with a whole one
KEY = bytes(range(1, 33))
ANYONE = account("anyone")


@cache
def reveal_key(number: int) -> RevealKey:
    """Return recipient `number`'s key pair."""
    return RevealKey.from_secret(1_000 + number)


def plain_update(size: int, bits: int) -> bytes:
    """Return an update file: its header is not looked at here."""
    pattern = bytes(i * 7 % 251 for i in range(251))
    length = (size * bits + 7) // 8
    return bytes(HEADER_BYTES) + (pattern * (length // 251 + 1))[:length]


@dataclass
class Scene:
    """One task with one rostered round; the first trainer is the one in question."""

    world: RefereeWorld
    run: Run
    spec: TaskSpec
    plain: bytes
    bits: int = BITS
    gas: dict[str, int] = field(default_factory=dict)

    @classmethod
    def start(cls, *, rostered: bool = True, sizes: tuple[int, ...] = SIZES, bits: int = BITS, **changes: Any) -> Scene:
        """Open the task: the first aggregator and an auditor have keys, and a reference that has one, too."""
        world = referee_world()
        model = ModelSpec("shown", tuple(TensorSpec(f'tensor "{i}"', (size,)) for i, size in enumerate(sizes)))
        spec = small_spec(
            model=model,
            codec=CodecRule(bits, "stochastic", ScaleSpec((-5,) * len(sizes))),
            aggregators=(Party(world.aggregators[0].address, bn254.encode(reveal_key(0).public)),),
            auditors=(Party(account("auditor").address, bn254.encode(reveal_key(1).public)),),
            reference=Party(account("reference").address, bn254.encode(reveal_key(2).public)),
        )
        rules = terms_of(spec).root
        run = Run.start(world, trainers=3, bonded=2, spec=spec.digest, rules=rules, **changes)
        scene = cls(world, run, spec, plain_update(model.size, bits), bits)
        if rostered:
            run.roster()
        return scene

    @property
    def table(self) -> LeafTable:
        """Where the integers lie in content leaves."""
        return self.spec.model.leaves

    @property
    def trainer(self) -> Account:
        """The trainer in question."""
        return self.run.trainers[0]

    # --- what it signs ---

    def receipt(self, **changes: Any) -> Receipt:
        """Return an honest receipt of the update, with changes."""
        sealed = envelope.encrypt(self.plain, key=KEY)
        root = self.root(self.plain)
        honest = {
            "length": sealed.length, "key_hash": sealed.key_hash, "leaves_root": sealed.leaves_root,
            "content_root": root, "round": 0,
        }  # fmt: skip
        return self.run.receipt(self.trainer, **(honest | changes))

    def root(self, plain: bytes) -> bytes:
        """Return the content root over an update."""
        return content_root(plain[HEADER_BYTES:], table=self.table, bits=self.bits, key=KEY)

    def changed(self, at: int) -> bytes:
        """Return the update with one other coordinate."""
        plain = bytearray(self.plain)
        plain[HEADER_BYTES + at * self.bits // 8] ^= 1 << at * self.bits % 8
        return bytes(plain)

    def signed(self, receipt: Receipt | None = None, who: Account | None = None) -> tuple[Receipt, bytes]:
        """Return a receipt with a signature."""
        made = receipt or self.receipt()
        return made, self.run.sign(who or self.trainer, made)

    def keys(self, receipt: Receipt | None = None, key: bytes = KEY) -> tuple[WrappedKey, ...]:
        """Return the boxes for both recipients."""
        return wrap_for_all(
            key, secret=bytes(32), receipt=receipt or self.receipt(), domain=self.world.domain, spec=self.spec
        )

    def package(
        self, keys: tuple[WrappedKey, ...] | None = None, receipt: Receipt | None = None, who: Account | None = None
    ) -> Package:
        """Return a signed package (IReveals.Package once its boxes are)."""
        made = receipt or self.receipt()
        chosen = self.keys(made) if keys is None else keys
        return chosen, sign_digest(
            package_digest(made, chosen, self.world.domain, self.spec), (who or self.trainer).key
        )

    # --- what a recipient shows ---

    def party(self, number: int) -> ShownParty:
        """Return recipient 0 (aggregator), 1 (auditor) or the reference (2) as the specification names it."""
        found = (*self.spec.aggregators, *self.spec.auditors, self.spec.reference)[number]
        return show_party(self.spec, found)

    def shared(
        self, number: int, keys: tuple[WrappedKey, ...], receipt: Receipt | None = None
    ) -> tuple[Point, DleqProof]:
        """Return S of recipient `number`'s box, with its proof."""
        context = wrap_context(receipt or self.receipt(), self.world.domain, keys[number].recipient)
        box = KeyBox.from_bytes(keys[number].ephemeral + keys[number].ciphertext)
        return dleq.prove(reveal_key(number).secret, base=box.ephemeral, context=keccak256(context.encode()))

    def cipher(self, block: int, data: bytes | None = None) -> CipherLeaf:
        """Return the ciphertext leaf that AES block `block` lies in."""
        opening = envelope.open_leaf(data or envelope.encrypt(self.plain, key=KEY).data, block // 64)
        return CipherLeaf(opening.leaf, opening.path)

    def content(self, index: int, plain: bytes | None = None) -> ContentLeafRecord:
        """Return a content leaf."""
        leaf = open_content((plain or self.plain)[HEADER_BYTES:], index, table=self.table, bits=self.bits, key=KEY)
        return record_of(leaf)

    # --- calls ---

    def send(self, function: str, *arguments: Any, who: Account = CHALLENGER) -> Outcome:
        """Call the reveals contract."""
        return self.world.reveals.send(who, function, *arguments)

    def show(self, function: str, *arguments: Any, who: Account = CHALLENGER) -> Outcome:
        """Call it with evidence that was committed to."""
        return self.world.reveals.show(who, function, *arguments, referee=self.world.disputes)

    def force(self, package: Package | None = None, signed: tuple[Receipt, bytes] | None = None) -> Outcome:
        """Force a package on chain."""
        chosen = package or self.package()
        return self.send("forceReveal", signed or self.signed(), self.wire(chosen), who=self.trainer)

    def accuse_wrap(
        self,
        keys: tuple[WrappedKey, ...],
        number: int = 0,
        *,
        receipt: Receipt | None = None,
        who: Account = CHALLENGER,
        **changes: Any,
    ) -> Outcome:
        """Accuse the trainer of the box for recipient `number`; `changes`: signed, boxes, index, shared."""
        made = receipt or self.receipt()
        shared, proof = changes.get("shared") or self.shared(number, keys, made)
        return self.show(
            "badWrap", changes.get("signed", self.signed(made)),
            changes.get("boxes") or self.wire(changes.get("package", self.package(keys, made))),
            changes.get("index", number), shared, proof, who=who,
        )  # fmt: skip

    def accuse_opening(self, index: int, place: int, *, receipt: Receipt | None = None, **changes: Any) -> Outcome:
        """Accuse the trainer of integer `place` of content leaf `index`; `changes`: key, cipher, content."""
        cipher = changes.get("cipher") or CipherLeaf(b"", ())
        part = self.table.span(index) if index < self.table.count else slice(0, 0)
        if "cipher" not in changes and place < part.stop - part.start:
            cipher = self.cipher((HEADER_BYTES + (part.start + place) * self.bits // 8) // 16)
        return self.show(
            "badOpening", self.signed(receipt), changes.get("key", KEY), cipher,
            changes.get("content") or self.content(index), (index, place), show_model(terms_of(self.spec), index),
        )  # fmt: skip

    def demand_key(self, number: int = 1, *, who: Account = CHALLENGER, **changes: Any) -> RevealDemand:
        """Demand a key for recipient `number`."""
        found = (*self.spec.aggregators, *self.spec.auditors, self.spec.reference)[number]
        done = self.send(
            "demandKey", changes.get("signed") or self.signed(), changes.get("recipient", found.address),
            changes.get("party") or self.party(number), who=who,
        )  # fmt: skip
        self.gas["demandKey"] = done.gas
        return told(done)

    def demand_content(self, index: int, *, receipt: Receipt | None = None, **changes: Any) -> RevealDemand:
        """Demand a content leaf."""
        shown = changes.get("shown") or show_model(terms_of(self.spec), index)
        done = self.send("demandContent", self.signed(receipt), index, shown)
        self.gas["demandContent"] = done.gas
        return told(done)

    def wire(self, package: Package) -> tuple[Any, bytes]:
        """Return a package as IReveals.Package."""
        return boxes_of(package[0], self.spec), package[1]

    @property
    def stake(self) -> int:
        """What the trainer has at stake, wei."""
        return int(self.run.member(self.trainer)[0])

    @property
    def bond(self) -> int:
        """What a demand costs, wei."""
        return int(self.world.disputes.call("bondOf", self.run.task))


def told(done: Outcome) -> RevealDemand:
    """Return the demand that a call made."""
    event = done.event("RevealDemanded")
    made = struct(RevealDemand, event["demand"])
    assert made.id == event["id"] == done.output[0]
    return made


def garbled(keys: tuple[WrappedKey, ...], number: int, **changes: Any) -> tuple[WrappedKey, ...]:
    """Return boxes of which one is changed."""
    return tuple(replace(key, **changes) if i == number else key for i, key in enumerate(keys))
