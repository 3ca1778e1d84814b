"""Which Flower node speaks for which trainer: from the chain's join events and the binding documents in the store."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from fl_platform.errors import FLError
from fl_platform.flower.order_queue import NodeMember
from fl_platform.ledger.binding import MAX_BINDING_BYTES, Binding, check
from fl_platform.task.reading import TaskReader

logger = logging.getLogger(__name__)


def members_of(reader: TaskReader, *, reference: Binding | None = None) -> list[NodeMember]:
    """Return the nodes of the members that have not left, each as wallet and node key have both signed it.

    reference: the binding of whoever signs the reference update, which is no member and so has none on chain.
    A member whose document is missing, malformed or not signed by both is left out with a warning: its node is not
    asked, everybody else's is. Where two members signed with one node key, the lower address has it.
    """
    return _one_each(bindings_of(reader, reference=reference))


def bindings_of(reader: TaskReader, *, reference: Binding | None = None) -> list[tuple[bytes, Binding]]:
    """Return the checked bindings behind `members_of`, by trainer."""
    history = reader.history()
    found: list[tuple[bytes, Binding]] = []
    for trainer in sorted(history.members.keys() - history.leaving):
        try:
            document = reader.object(history.bindings[trainer], max_bytes=MAX_BINDING_BYTES)
            binding = Binding.from_bytes(document)
            check(binding, domain=reader.domain, task=reader.task, wallet=trainer)
        except (FLError, KeyError) as error:
            logger.warning("task %d: the node of 0x%s is unknown: %s", reader.task, trainer.hex(), error)
            continue
        found.append((trainer, binding))
    if reference is not None:
        check(reference, domain=reader.domain, task=reader.task, wallet=reader.spec.reference.address)
        found.append((reference.wallet, reference))
    return found


def _one_each(found: Sequence[tuple[bytes, Binding]]) -> list[NodeMember]:
    """Return one member per node key."""
    owner_of: dict[bytes, bytes] = {}
    for trainer, binding in found:
        first = owner_of.setdefault(binding.node_name, trainer)
        if first != trainer:
            logger.warning("0x%s and 0x%s share a node; it speaks for the first", first.hex(), trainer.hex())
    return [NodeMember(node, trainer) for node, trainer in owner_of.items()]
