"""RoundLedger's rules in plain Python, written from the table in IRoundLedger and not from the code.

It predicts for every call whether it is allowed, and what state and money it leads to. Times in seconds, money in wei.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.support.contracts import CHALLENGER_BPS, COMPENSATED, DONE, LATENESS_BPS, REFUNDED, Params

OPEN, ROSTERED = 1, 2


@dataclass
class Seal:
    """A sealed round."""

    at: int
    by: int  # place in the list
    total: int
    disputed: bool = False


@dataclass
class Tenure:
    """When a trainer was a member."""

    stake: int
    joined: int
    seat: int
    left: int = 0


@dataclass
class Twin:
    """One task."""

    params: Params
    opened: int
    phase: int = OPEN
    round: int = 0
    place: int = 0
    takeover: bool = False
    frozen_since: int = 0
    bonus: int = 0
    late: int = 0  # of the bonus: what came after the first second of the window of the seal that is due
    life: int = 0
    ever: int = 0  # rounds that had a roster at some time
    closed: bool = False
    listed: bool = False  # the ring has a roster of the head's round
    time: int = 0
    seals: dict[int, Seal] = field(default_factory=dict)
    bonds: dict[int, int] = field(default_factory=dict)  # place -> stake left
    bonded: set[int] = field(default_factory=set)  # places that may work
    tenures: dict[bytes, Tenure] = field(default_factory=dict)  # of everybody that ever joined
    slots: dict[int, int] = field(default_factory=dict)  # slot of the ring -> the sealed round whose digest lies there

    def __post_init__(self) -> None:
        self.time = self.opened

    @property
    def ring(self) -> int:
        """Slots."""
        windows = self.params.windows
        return -(-windows.challenge // windows.min_round) + 1

    @property
    def running(self) -> bool:
        """Somebody has to act."""
        return self.phase in (OPEN, ROSTERED)

    @property
    def frozen(self) -> bool:
        """A dispute is open."""
        return any(seal.disputed for seal in self.seals.values())

    @property
    def lowest(self) -> int:
        """The lowest disputed round."""
        return min(number for number, seal in self.seals.items() if seal.disputed)

    def may_join(self, who: bytes) -> bool:
        """Whether an account has not left the task before."""
        return who not in self.tenures or self.tenures[who].left == 0

    def join(self, who: bytes, stake: int, now: int) -> None:
        """A trainer takes the next seat."""
        self.tenures = {**self.tenures, who: Tenure(stake, now, 9 + len(self.tenures))}

    def leave(self, who: bytes, now: int) -> None:
        """A trainer asked to leave, or is left with less than the task's stake; only the first time counts."""
        self.tenures[who].left = self.tenures[who].left or now

    def window(self) -> tuple[int, int]:
        """[from, to) of the next step."""
        w = self.params.windows
        if self.takeover:
            return self.time + (self.phase == ROSTERED), self.time + w.takeover
        if self.phase == OPEN:
            return self.time + w.min_round, self.time + w.roster
        start = self.time + w.force + w.reveal
        return start + 1, start + w.seal

    def may_step(self, now: int, phase: int) -> bool:
        """Whether the current aggregator can roster (OPEN) or seal (ROSTERED)."""
        first, last = self.window()
        return self.phase == phase and self.place in self.bonded and not self.frozen and first <= now < last

    def roster(self, now: int) -> None:
        """A roster is on chain."""
        self.phase, self.time, self.takeover, self.late = ROSTERED, now, False, 0
        self.listed = True
        self.ever = max(self.ever, self.round + 1)
        self.slots.pop(self.round % self.ring, None)

    def allotted(self) -> int:
        """What a seal of the head's round allots; it may leave out what is late."""
        return self.params.pot * (self.round + 1) + self.bonus

    def slash(self, to_pot: int, now: int) -> None:
        """Stake went into the pot."""
        self.bonus += to_pot
        if self.phase == ROSTERED and now >= self.window()[0]:
            self.late += to_pot

    def seal(self, now: int, total: int) -> None:
        """The head's round is sealed."""
        self.seals[self.round] = Seal(now, self.place, total)
        self.slots[self.round % self.ring] = self.round
        self.round += 1
        self.listed = False
        self.phase, self.time, self.takeover = (DONE if self.round == self.params.rounds else OPEN), now, False

    def may_advance(self, now: int) -> bool:
        """Whether the current aggregator is late."""
        return self.running and not self.frozen and now >= self.window()[1]

    def advance(self, now: int) -> None:
        """Hand over, or end."""
        last = self.place + 1 == len(self.params.aggregators)
        if self.place in self.bonded:
            fine = -(-self.params.pot * LATENESS_BPS // 10_000)
            if last and self.phase == ROSTERED:
                fine = self.bonds[self.place]
            fine = min(fine, self.bonds[self.place])
            self.bonds[self.place] -= fine
            self.bonus += fine
        self._hand_over(now)

    def may_pass(self, now: int) -> bool:
        """Whether the current aggregator can say that it cannot seal."""
        first, last = self.window()
        return self.phase == ROSTERED and self.place in self.bonded and not self.frozen and first - 1 <= now < last

    def pass_(self, now: int) -> None:
        """Hand over, or end, without a fine."""
        self._hand_over(now)

    def _hand_over(self, now: int) -> None:
        self.time, self.late = now, 0
        if self.place + 1 == len(self.params.aggregators):
            if self.phase == OPEN:  # what the ring has in its place is no roster
                self.slots.pop(self.round % self.ring, None)
            refunded = self.phase == OPEN and self.ever <= self.round
            self.phase, self.takeover = (REFUNDED if refunded else COMPENSATED), False
        else:
            self.place, self.takeover = self.place + 1, True

    def may_challenge(self, number: int, now: int) -> bool:
        """Whether a sealed round can still be disputed."""
        seal = self.seals.get(number)
        return seal is not None and not seal.disputed and now < seal.at + self.params.windows.challenge

    def challenge(self, number: int, now: int) -> None:
        """A dispute is open."""
        if not self.frozen:
            self.frozen_since = now
        self.seals[number].disputed = True

    def reject(self, number: int, now: int) -> None:
        """A dispute ended without effect."""
        self.seals[number].disputed = False
        if not self.frozen and now > self.frozen_since:
            self.time, self.late = self.time + now - self.frozen_since, 0  # its window opens later

    def uphold(self, number: int, now: int) -> None:
        """A dispute voids a round and all later ones."""
        seal = self.seals[number]
        lost = self.bonds[seal.by]
        self.bonds[seal.by] = 0
        self.bonus += lost - lost * CHALLENGER_BPS // 10_000
        self.seals = {n: s for n, s in self.seals.items() if n < number}
        self.slots = {slot: n for slot, n in self.slots.items() if n < number}
        self.frozen_since, self.time, self.late = now, now, 0
        self.round = number
        self.listed = True
        self.life = (self.life + 1) % 256
        place = self.place + 1 if seal.by == self.place else self.place
        if self.phase in (REFUNDED, COMPENSATED) or place == len(self.params.aggregators):
            self.phase, self.takeover = COMPENSATED, False
        else:
            self.place, self.phase, self.takeover = place, ROSTERED, True

    @property
    def closable_at(self) -> int:
        """From when the books of a compensated task can be closed: until then its roster can fall."""
        return self.time + self.params.windows.takeover

    def may_fall(self, now: int) -> bool:
        """Whether the head's round has a roster that can fall: not sealed, or of an ended task for a while."""
        if self.frozen or not self.listed:
            return False
        return self.phase == ROSTERED or (self.phase == COMPENSATED and now < self.closable_at)

    def fall(self, maker: int, now: int) -> None:
        """The roster that aggregator `maker` made falls; the round is open again."""
        lost = self.bonds.get(maker, 0)
        self.bonds[maker] = 0
        self.life = (self.life + 1) % 256
        self.listed = False
        if self.phase == COMPENSATED:
            self.time = now
            self.slots.pop(self.round % self.ring, None)
            self.bonus += lost - lost * CHALLENGER_BPS // 10_000
            return
        self.phase = OPEN
        if maker == self.place:
            self._hand_over(now)
        else:
            self.time, self.late, self.takeover = now, 0, True
        self.bonus += lost - lost * CHALLENGER_BPS // 10_000

    def holds(self, number: int) -> bool:
        """Whether the ring still has a sealed round's digest: no later round, void or not, took its slot."""
        return self.slots.get(number % self.ring) == number

    def is_final(self, number: int, now: int) -> bool:
        """Whether claims can come from a round that the ring still holds."""
        seal = self.seals.get(number)
        if seal is None or (self.frozen and number >= self.lowest):
            return False
        return now >= seal.at + self.params.windows.challenge and self.holds(number)

    def may_close(self, now: int) -> bool:
        """Whether the books can be closed."""
        if self.running or self.closed or self.frozen:
            return False
        if self.phase == COMPENSATED and now < self.closable_at:
            return False
        return self.round == 0 or self.is_final(self.round - 1, now)

    def to_owner(self) -> int:
        """What closing gives the owner."""
        allotted = self.seals[self.round - 1].total if self.round else 0
        left = self.params.bounty + self.bonus - allotted
        if self.phase in (DONE, REFUNDED):
            return left
        return self.params.pot * (self.params.rounds - self.ever)
