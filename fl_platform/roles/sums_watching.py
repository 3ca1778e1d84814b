"""The watcher's part about sums that nobody published: it follows the wrong child of their tree down to a leaf.

A sealer can seal the root of other sums than it publishes, or of none. Who holds the updates has the right ones: it
asks what lies below the root, then below the first node that is not the right one, until a leaf is shown that the
question Sum decides, or nothing is shown in time.
"""

from __future__ import annotations

import numpy as np

from fl_platform.aggregation.products import first_difference
from fl_platform.chain import work_evidence
from fl_platform.chain.demands import Demands
from fl_platform.chain.evidence import Question
from fl_platform.protocol.trace import COORDINATES
from fl_platform.roles.moves import Move
from fl_platform.roles.reading import TaskReader
from fl_platform.roles.sealed import Sealed, readable
from fl_platform.roles.work import RoundWork
from fl_platform.updates.content import SUM_BITS, content_root, is_leaf, open_subtree, place_of


class SumsChallenger:
    """Finds, in one task, where sums lie that only their sealer knows."""

    def __init__(self, reader: TaskReader, demands: Demands) -> None:
        self._reader, self._demands = reader, demands

    def move(self, sealed: Sealed, work: RoundWork) -> Move | int | None:
        """Return the challenge that the last answer allows, else the node to ask for next.

        None where nothing is hidden, or the right sums are not known. Raises RetryError.
        """
        return readable(lambda: None if self._published(sealed, work) else self._follow(sealed, work))

    def _published(self, sealed: Sealed, work: RoundWork) -> bool:
        payload = readable(lambda: work.told_sums.tobytes())
        return payload is not None and self._root(payload) == sealed.trace.work.sums

    def _root(self, payload: bytes) -> int:
        root = content_root(payload, size=self._reader.spec.model.size, bits=SUM_BITS, key=None)
        return int.from_bytes(root, "big")

    def _follow(self, sealed: Sealed, work: RoundWork) -> Move | int | None:
        weights = {row: weight for row, (_, weight) in enumerate(sealed.trace.work.rows) if weight}
        right = work.sums_by(weights)
        payload, size = right.tobytes(), self._reader.spec.model.size
        if self._root(payload) == sealed.trace.work.sums or sealed.trace.rules.size != size:
            return None  # a wrong size is the question Layout's
        shown, node = self._demands.shown_sums(self._reader.task, sealed.number), 1
        while node in shown and not is_leaf(node, size):
            nodes = open_subtree(payload, node, size=size, bits=SUM_BITS).nodes
            pairs = enumerate(zip(shown[node][0], nodes, strict=True))
            wrong = next((i for i, (told, own) in pairs if told != own), None)
            if wrong is None:
                return None
            node = node * len(nodes) + wrong
        if node not in shown:
            return node
        index, leaf = place_of(node), shown[node][1]
        own = right[index * COORDINATES : (index + 1) * COORDINATES]
        place = first_difference(np.frombuffer(leaf.body, "<i8")[: len(own)], own)
        if place is None:
            return None
        rows = [work.leaf(row, index) for row in sorted(weights)]
        shown_sum = work_evidence.coordinate_of_sum(sealed.trace, index * COORDINATES + place, sums=leaf, rows=rows)
        return Question.SUM, shown_sum
