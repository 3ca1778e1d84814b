"""The wrong things that a person does: what it sees, why, and what to do. docs/TROUBLESHOOTING.md is written from this.

Each is a row; `sees` holds a test's real output against it. … in a message stands for values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Trouble:
    """One wrong thing."""

    code: int  # the command's exit code
    sees: str
    why: str
    do: str

    def occurs_in(self, output: str) -> bool:
        """Whether the message was really said, however its lines were broken."""
        pieces = (re.escape(" ".join(piece.split())) for piece in self.sees.split("…"))
        return re.search(".*".join(pieces), " ".join(output.split())) is not None


TROUBLES: dict[str, Trouble] = {
    # --- wallets and money
    "wrong password file": Trouble(
        5, "wrong password for …; try again with the right one: it is read from --password-file",
        "The file's first line does not open the wallet.", "Give the right file, or leave `--password-file` out."),
    "wrong password variable": Trouble(
        5, "wrong password for …, else FL_PLATFORM_PASSWORD, else asked for", "The variable is set, perhaps in an old "
        "shell, and is not this wallet's.", "`unset FL_PLATFORM_PASSWORD` and type it, or set it anew."),
    "no coin for gas": Trouble(
        5, "has 0 wei, … may cost … wei; fund it on … (`fl-platform wallet fund NAME` on a local chain",
        "Each transaction costs the chain's coin.", "Fund the wallet and run the same command again."),
    "no tokens for the stake": Trouble(
        5, "holds 0 wei of token …, join locks …; get more of it (`fl-platform wallet fund NAME --tokens N`",
        "Joining locks a stake in the task's token.", "Get tokens, run the same command again."),
    "no tokens for the bond": Trouble(
        5, "holds 0 wei of token …, bond locks …; get more of it (`fl-platform wallet fund NAME --tokens N`",
        "An aggregator locks a bond.", "Get tokens, run the same command again."),
    "no tokens for the bounty": Trouble(
        5, "the bounty is … tokens, the wallet holds 0: draw some with `fl-platform wallet fund NAME --tokens N`",
        "The whole bounty is escrowed at the opening.", "Get tokens, or lower `--pot` or `--rounds`."),
    # --- network and store
    "unknown network": Trouble(
        5, "network 'moon' is unknown; use one of embedded, anvil, ganache, sepolia or an http(s) URL",
        "`--network` is mistyped.", "Give one of those."),
    "no node listens": Trouble(
        6, "does not answer eth_chainId (ConnectionError); is the node running and the URL right? Nothing was lost: "
        "run the same command again", "The node is not started, or the URL has another port.",
        "Start the node or mend the URL; run again."),
    "no JSON-RPC": Trouble(
        6, "does not answer eth_chainId (…); is the node running and the URL right?", "Something else answers at that "
        "URL: a web page, a proxy.", "Ask the provider for the URL of its RPC end point."),
    "another chain": Trouble(
        5, "is chain 31337, sepolia is 11155111; mend the URL", "The variable holds another chain's URL.",
        "Set `FL_PLATFORM_SEPOLIA_URL` to an end point of Sepolia."),
    "another chain's contracts": Trouble(
        5, "the deployment file is of chain …, this is chain …", "The folder belongs to another chain.",
        "Mend `--network`, or `fl-platform deploy --from FILE` with the file of who deployed there."),
    "no store listens": Trouble(
        6, "cannot be reached or broke off (…): check that it runs, or name another with --store",
        "The party that serves the store has stopped `store serve`.", "Start it, or name another store; run again."),
    "object missing": Trouble(
        4, "is in no store that was asked: …It is the owner 0x… that should have it: name that party's store with "
        "--store, beside your own", "Your store never got what another party published.",
        "`--store disk,http://HOST:PORT` with the store of the party that is named."),
    # --- tasks and roles
    "no such task": Trouble(
        5, "there is no task 9 on embedded; `fl-platform task list` shows those there are", "The number is mistyped, "
        "or the network is another.", "`fl-platform task list`."),
    "bonding as a stranger": Trouble(
        5, "is not among the task's aggregators (…); the list is frozen: bond with the wallet of one of them "
        "(--wallet), or take part as a trainer (`fl-platform trainer join 2`)", "Aggregators are named when a task is "
        "opened.", "Use the listed wallet, or join as a trainer."),
    "aggregating as a stranger": Trouble(
        5, "three is not among the aggregators of task 2 (…): run this with the wallet of one of them (--wallet)",
        "The wallet is not the aggregator's.", "`--wallet NAME` of the aggregator."),
    "aggregating without a bond": Trouble(
        5, "second has no bond in task 2: `fl-platform aggregator bond 2` first", "The bond is not locked yet.",
        "Bond, run again."),
    "training as a stranger": Trouble(
        5, "is no trainer of task 2: `fl-platform trainer join 2` first", "The wallet has not joined.",
        "Join, run again."),
    # --- somebody is absent
    "aggregator not started": Trouble(
        0, "your update of round 0 is signed; keep the process running: the aggregator asks for it, and where it puts "
        "no roster on chain in time, anyone may hand the round over (`fl-platform aggregator advance …`), at the "
        "latest in", "The aggregator is away.", "Wait; after the time that is shown, run that command."),
    "reference not started": Trouble(
        0, "going on without the owner's reference; without the reference this round will be paid by stake",
        "The owner does not run `trainer run TASK --reference`.", "The owner starts it before the next round; "
        "`fl-platform why` tells each trainer."),
    "too few trainers": Trouble(
        5, "2 trainers answered, multi-krum with f=1 needs 5; the round stays open until its roster deadline: start "
        "the trainers and run again", "The rule withstands liars only among enough trainers.", "Let more join and run "
        "again before the deadline."),
    # --- too early
    "claim before final": Trouble(
        5, "no round is past its challenge window yet; the first one will be in … s of block time",
        "A seal may be challenged for a while before it pays.", "Claim when that time is over."),
    "advance too early": Trouble(
        8, "RoundLedger_TooEarly(…); … of block time: nothing was sent; come again then", "The aggregator still has "
        "time.", "Run it after that time, if it is still late."),
    "stake before unbonding": Trouble(
        0, "tokens are free at … (block time): run the same command then", "A stake stays locked for the unbonding "
        "time.", "Run the same command then."),
    "leave while it is your turn": Trouble(
        8, "RoundLedger_StillCurrent(…); it is this aggregator's turn, and its bond stays until the task is over",
        "The bond answers for the round that is worked on.", "Seal the rounds, then leave."),
    "close while it works": Trouble(
        5, "still works on round 0 (0 of 1 done); its books close when all rounds are sealed, or when no aggregator is "
        "left (`fl-platform aggregator advance 2`)", "Rounds are left.", "Wait for the last seal."),
    # --- too late
    "join after the end": Trouble(
        5, "task 1 is over (done after 1 of 1 rounds); `fl-platform task list` shows those still open",
        "All rounds are sealed.", "Join another task."),
    "force after its window": Trouble(
        8, "RoundLedger_WrongPhase(…); task 1 is done: all rounds are sealed; this can be done only while it is "
        "rostered: its round waits for a seal; nothing was sent; `fl-platform status` says what can be done now",
        "A receipt can be forced in only between roster and seal.", "`fl-platform status`."),
    "seal after its deadline": Trouble(
        8, "RoundLedger_TooLate(…); … of block time: the deadline has passed; `fl-platform aggregator advance 2` "
        "hands the round to the next aggregator, or ends the task", "The aggregator was away past its deadline.",
        "Anyone runs that command; the next aggregator goes on."),
    "everybody away": Trouble(
        0, "anyone may run `fl-platform aggregator advance 2`; `fl-platform status` says more",
        "A deadline passed while nobody was there.", "Run that command; `fl-platform status` for each role's next "
        "step."),
    "replaced aggregator": Trouble(
        5, "is the current aggregator; … missed a deadline and was replaced: `fl-platform aggregator leave 2` asks "
        "for its bond", "The round was handed over.", "Take back what is left of the bond."),
    "opening again": Trouble(
        0, "task 4 was opened before with these very rules: nothing was escrowed now; another --title opens a second "
        "one", "The command was run twice, or killed before it said the number.",
        "Go on with the task, or give another `--title`."),
    # --- processes
    "killed": Trouble(
        0, "task 2: 1 rounds sealed, the task is done", "The machine went down in the middle of a command.",
        "Run the same command again: nothing is done twice."),
    "two at once": Trouble(
        5, "is held by process …; wait for it or end it, or use a node (--network anvil) to share one chain",
        "One process holds the embedded chain.", "Wait for it, or use a node."),
    "restarted development chain": Trouble(
        5, "a restarted development chain is a new one: `fl-platform deploy` starts anew",
        "anvil or ganache was started again and forgot everything.", "`fl-platform deploy`; the old chain's things "
        "are kept in WORKDIR/past."),
    "stale socket": Trouble(
        0, "one answers orders for task 2 at", "A trainer was killed and its socket file stayed.",
        "`fl-platform trainer run` again: it takes the file over."),
    "trainer absent": Trouble(
        0, "1 of 2 members answered; absent 0x…", "A trainer's process is gone; its socket may still lie there.",
        "Start it again before the roster's deadline; it is asked again until then."),
    "port in use": Trouble(
        5, "Address already in use; choose another --bind", "Another program has the port.",
        "`--bind 127.0.0.1:PORT`."),
    "privileged port": Trouble(
        5, "Permission denied (ports below 1024 are for root); choose another --bind", "Low ports are the system's.",
        "A port from 1024 on; a proxy can pass 443 on to it."),
    "address of another machine": Trouble(
        5, "Cannot assign requested address; choose another --bind", "`--bind` takes this machine's addresses only.",
        "Bind 127.0.0.1 or 0.0.0.0, and name others' way with `--url`."),
    # --- disk and files
    "full disk": Trouble(
        4, "File too large. Nothing half-written was left; free some space (or raise the file-size limit) and run the "
        "same command again", "The disk is full, or files may not grow.", "Free space, run again."),
    "full device for a report": Trouble(
        4, "no room left for …; nothing was lost: free space and run again", "The report has no room.",
        "`--json` to another place."),
    "workdir below a file": Trouble(
        5, "cannot use …: Not a directory; mend the path or its permissions", "`--workdir` leads through a file.",
        "Name a folder."),
    "workdir is a file": Trouble(
        2, "Invalid value for '--workdir': Directory … is a file", "`--workdir` names a file.", "Name a folder."),
    "store is a file": Trouble(
        5, "is a file: --store disk:FOLDER names a folder", "`--store disk:` names a file.", "Name a folder."),
    "folder without permission": Trouble(
        5, "Permission denied; mend the path or its permissions", "The folder belongs to somebody else.",
        "Mend its permissions, or name another `--workdir`."),
    "keystore is no JSON": Trouble(
        5, "is no keystore file (JSONDecodeError); restore it from a copy", "The wallet's file is damaged.",
        "Restore it from a copy, or import the key again."),
    "unknown key in federation.toml": Trouble(
        5, "'trianers' of [task.open] is no option or command: did you mean trainers?", "The name is mistyped.",
        "Mend the file."),
    "invitation is a PDF": Trouble(
        7, "is no invitation (…): ask who invited you for the file of `fl-platform task invite`",
        "It is another file than the invitation.", "Get the file that `task invite` wrote."),
    "garbage party": Trouble(
        5, "'garbage' is neither a wallet of this folder (…) nor a party: ask it for the line `party`",
        "A party is named by its whole line.", "Ask it for `fl-platform wallet show NAME`."),
    "an address for a party": Trouble(
        5, "is neither a wallet of this folder (…) nor a party: ask it for the line `party` of `fl-platform wallet "
        "show NAME`, all of it", "The line has two parts, address and key.", "Ask for all of it."),
    "party with a wrong address": Trouble(
        5, "has a wrong checksum: a digit of it may be mistyped", "A character was lost on the way.",
        "Copy the line again."),
    "party with a wrong key": Trouble(
        7, "is none, a digit of it may be mistyped (…); ask it for the line `party`", "A character was lost on the "
        "way.", "Copy the line again."),
    "the same party twice": Trouble(
        8, "RoundLedger_AggregatorsInvalid(…); nothing was escrowed; give 1 to 8 --aggregator, each once",
        "An aggregator is named twice.", "Name each once."),
    "syntax error in task.py": Trouble(
        5, "SyntaxError: …; mend line 1 of broken.py, then run this again", "Python cannot read your file.",
        "Mend that line."),
    "no class in task.py": Trouble(
        5, "has no attribute 'Mine'; it has no class: write `class Mine(LearningTask)` in it",
        "`--data module:NAME` names what the file has not.", "Write the class, or name the one that is there."),
    "another model than the task's": Trouble(
        7, "has shape (8, 3) in the task's model and shape (9, 3) in this party's; is model() that of the task",
        "Your `model()` is not the owner's.", "Take the owner's file for the model."),
    # --- clocks
    "clock behind": Trouble(
        5, "this machine is 3600 s behind the chain: set its clock (NTP)", "`doctor` compares this machine's clock "
        "with the newest block.", "Set the clock."),
    "chain behind": Trouble(
        5, "the newest block is 3600 s old: this machine's clock is wrong, or the end point lags",
        "The end point has stopped following the chain.", "Use another URL."),
}  # fmt: skip


def sees(name: str, output: str) -> None:
    """Demand that a wrong thing's message was said."""
    assert TROUBLES[name].occurs_in(output), f"{name}: {TROUBLES[name].sees!r} is not in\n{output}"


def page() -> str:
    """Return docs/TROUBLESHOOTING.md."""
    rows = [
        f"| {name} | `{' '.join(row.sees.split()).replace('`', '')}` ({row.code}) | {row.why} | {row.do} |"
        for name, row in TROUBLES.items()
    ]
    return PAGE.format(rows="\n".join(rows))


PAGE = """# When something goes wrong

Written by `python scripts/generate_docs.py` from `tests/support/wrong_messages.py`; do not edit. Tests do each of these
wrong things, find the message in what the command says, do what it says, and see that nothing was lost.

`fl-platform status` shows what your wallets must or may do now; `fl-platform doctor` looks at machine, folder and
network; `fl-platform why NAME` explains what became of work and money. In messages … stands for values, and the number
is the exit code. Every command can be run again: nothing is done twice.

| what is wrong | what you see | why | what to do |
|---|---|---|---|
{rows}
"""
