"""Gas of each call about a trainer's keys and content, as whole transactions; the bar is that of a point dispute.

Demands carry the task's specification (1.8 kB here; 16 gas a byte). `bad opening` is also measured at the size of
McMahan's CNN with 16 bits, where both trees are deepest.
"""

from __future__ import annotations

from tests.support.reveals import ANYONE, Scene, garbled

CNN = (800, 32, 51_200, 64, 1_605_632, 512, 5_120, 10)  # parameters of each tensor: 1,663,370


def reveal_gas() -> dict[str, int]:
    """Return gas by call."""
    scene = Scene.start()
    found = {"force reveal, 2 boxes": scene.force().gas}
    made = scene.demand_key(1)
    answer = scene.send("answerKey", made, scene.wire(scene.package()), who=ANYONE)
    silent = scene.demand_key(0)
    scene.world.wait(silent.deadline)
    found |= {"answer key": answer.gas, "expire demand": scene.send("expire", silent).gas}
    scene = Scene.start()
    content = scene.demand_content(3)
    shown = scene.send("answerContent", content, scene.receipt(), scene.content(3), who=ANYONE)
    scene.demand_key()
    found |= {"answer content": shown.gas, "demand key": scene.gas["demandKey"]}
    found["demand content"] = scene.gas["demandContent"]
    scene = Scene.start()
    found["bad wrap"] = scene.accuse_wrap(garbled(scene.keys(), 0, ciphertext=bytes(32))).gas
    found["bad opening, d=2500 8 bits"] = _bad_opening(Scene.start())
    found[f"bad opening, d={sum(CNN)} 16 bits"] = _bad_opening(Scene.start(sizes=CNN, bits=16))
    return found


def _bad_opening(scene: Scene) -> int:
    """Show one wrong integer of a middle leaf."""
    at = scene.table.size // 2
    other = scene.changed(at)
    index, place = scene.table.place_of(at)
    receipt = scene.receipt(content_root=scene.root(other))
    return scene.accuse_opening(index, place, receipt=receipt, content=scene.content(index, other)).gas
