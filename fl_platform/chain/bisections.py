"""Games about one Gram entry with a wallet. See contracts/interfaces/IBisections.sol for the moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from eth_abi.abi import encode

from fl_platform.chain.abi import plain
from fl_platform.chain.disputes import Disputes
from fl_platform.chain.evidence import Evidence, Question
from fl_platform.chain.journal import Step
from fl_platform.chain.records import SealRecord, struct
from fl_platform.chain.signer import Signer, demand_signer
from fl_platform.chain.types import TxReceipt
from fl_platform.chain.work_evidence import Product, Statement
from fl_platform.errors import TaskClosed, TransactionPending
from fl_platform.protocol.keccak import keccak256

CONTRACT = "Bisections"
_GAME = "(address,uint40,uint16,bool,uint80,uint32,uint32,uint256,bytes32,bytes32,int256,bytes32)"


@dataclass(frozen=True)
class Game:
    """IBisections.Game."""

    challenger: bytes
    deadline: int
    round: int
    answered: bool  # the sealer has split: the challenger is to move
    bond: int
    first: int  # first leaf of the range in question
    count: int  # its leaves
    task: int
    seal: bytes
    statement: bytes
    claimed: int  # what the sealer says of the range, squared base units
    parts: bytes


@dataclass(frozen=True)
class OpenGame:
    """A game that goes on, and what it is about."""

    number: int
    row: int
    column: int
    game: Game
    parts: tuple[int, ...]  # the last split; empty before the first


class Bisections:
    """Games as one wallet plays them; without a signer only reads work."""

    def __init__(self, disputes: Disputes) -> None:
        """Play with the wallet of `disputes`. Raises ConfigError where the deployment has no games."""
        self._disputes, self._contracts, self._signer = disputes, disputes.contracts, disputes.signer
        self._contract = self._contracts.deployment.contract(CONTRACT)

    def game(self, number: int) -> Game | None:
        """Return a game; None when it has ended or never was."""
        found = self._told().get(number)
        return None if found is None else found.game

    def stands(self, game: Game) -> bool:
        """Whether the seal that a game is about has not fallen since."""
        rounds = self._contracts.history(game.task).rounds
        return game.round < len(rounds) and rounds[game.round].seal == self._seal(game)

    def open_games(self, task: int) -> tuple[OpenGame, ...]:
        """Return the games of a task that go on."""
        return tuple(found for found in self._told().values() if found.game.task == task)

    def _told(self) -> dict[int, OpenGame]:
        """Every open game as its last event told it: the contract keeps its hash only, which is compared."""
        found: dict[int, OpenGame] = {}
        chain = self._contracts.chain
        for event in chain.events([self._contract], names=("BisectionOpened", "BisectionSplit", "BisectionPicked")):
            number, game = int(event.values["id"]), struct(Game, event.values["game"])
            if event.name == "BisectionOpened":
                found[number] = OpenGame(number, int(event.values["row"]), int(event.values["column"]), game, ())
            else:
                parts = tuple(event.values["parts"]) if event.name == "BisectionSplit" else ()
                found[number] = replace(found[number], game=game, parts=parts)
        digests = {number: chain.read(self._contract, "gameDigest", number) for number in found}
        return {number: told for number, told in found.items() if digest_of(told.game) == digests[number]}

    def open(self, task: int, round_number: int, shown: Evidence) -> int:
        """Dispute a Gram entry of a sealed round; locks the bond. Returns the game's number."""
        case, chain = self._disputes.case(task, round_number, Question.SUM), self._contracts.chain
        step = Step(task, round_number, f"bisect 0x{case.record.trace.hex()[:16]} at {case.record.sealed_at}")
        self._disputes.approve_bond(task, step)
        chain.send(self._contract, "open", case, shown, signer=self._wallet(), step=step)
        # the contract's counter may be another's by now
        seal = self._disputes.seal_digest(task, round_number, case.record)
        numbers = []
        for event in chain.events([self._contract], names=["BisectionOpened"]):
            game = struct(Game, event.values["game"])
            if (game.challenger, game.seal) == (self._wallet().address, seal):
                numbers.append(int(event.values["id"]))
        if not numbers:
            raise TransactionPending("the game was opened and its event is not confirmed yet; run again")
        return max(numbers)

    def split(self, number: int, statement: Statement, parts: Sequence[int], tensors: bytes) -> TxReceipt | None:
        """Split the number in question, as its sealer. `tensors`: the layout, 9 bytes a tensor."""
        game = self._demand(number)
        return self._contracts.chain.send(
            self._contract, "split", number, game, self._seal(game), statement, list(parts), tensors,
            signer=self._wallet(),
            step=_step(game, number, "split"), already=lambda: self._moved(number, game),
        )  # fmt: skip

    def pick(self, number: int, parts: Sequence[int], index: int) -> TxReceipt | None:
        """Pick a wrong part of more than one leaf, as the challenger."""
        game = self._demand(number)
        return self._contracts.chain.send(
            self._contract, "pick", number, game, self._seal(game), list(parts), index, signer=self._wallet(),
            step=_step(game, number, "pick"), already=lambda: self._moved(number, game),
        )  # fmt: skip

    def prove(
        self, number: int, statement: Statement, parts: Sequence[int], index: int, product: Product
    ) -> TxReceipt | None:
        """Show the two leaves that a wrong part is not the product of: the seal falls."""
        game = self._demand(number)
        return self._contracts.chain.send(
            self._contract, "prove", number, game, self._seal(game), statement, list(parts), index, product,
            self._aggregators(game.task), signer=self._wallet(), step=_step(game, number, "prove"),
            already=lambda: self.game(number) is None,
        )  # fmt: skip

    def expire(self, number: int) -> TxReceipt | None:
        """End a game whose deadline passed, or whose round is void."""
        game = self._demand(number)
        return self._contracts.chain.send(
            self._contract, "expire", number, game, self._seal(game), self._aggregators(game.task),
            signer=self._wallet(), step=_step(game, number, "expire"), already=lambda: self.game(number) is None,
        )  # fmt: skip

    def _moved(self, number: int, game: Game) -> bool:
        return self.game(number) != game

    def _demand(self, number: int) -> Game:
        found = self.game(number)
        if found is None:
            raise TaskClosed(f"game {number} has ended or never was")
        return found

    def _seal(self, game: Game) -> SealRecord:
        return self._disputes.disputed_seal(game.task, game.round, game.seal)

    def _aggregators(self, task: int) -> tuple[bytes, ...]:
        return self._contracts.history(task).opened.aggregators

    def _wallet(self) -> Signer:
        return demand_signer(self._signer)


def digest_of(game: Game) -> bytes:
    """Return what the contract keeps of a game."""
    return keccak256(encode([_GAME], [plain(game)]))


def _step(game: Game, number: int, name: str) -> Step:
    """Every range is split and picked from once, so its place names the move."""
    return Step(game.task, game.round, f"{name} {number} at {game.first}+{game.count}")
