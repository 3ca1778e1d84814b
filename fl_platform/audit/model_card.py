"""The page that goes with a released model. Whatever others wrote (title, names, codes) is shown escaped."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from fl_platform.audit.releasing import Own, Release
from fl_platform.chain.addresses import checksummed
from fl_platform.chain.types import RoundState
from fl_platform.task.round_text import name_round

LISTED = 200  # trainers in the table
_LONGEST = 200  # characters of a text of others
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")  # all of ASCII's: a backslash before each makes it plain in Markdown


def escaped(text: str) -> str:
    """Return text of a peer (unverified) as plain Markdown on one line: nothing in it is a link, a tag or a cell."""
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return _PUNCTUATION.sub(r"\\\1", "".join(letter if letter.isprintable() else "?" for letter in cut))


def model_card(found: Release, *, file: str, network: str) -> str:
    """Return the card in Markdown; `file`: the model's file name, `network`: as this machine calls it."""
    spec = found.spec
    rows = [
        ("file", f"{escaped(file)}, {len(found.data):,} bytes, sha256 `{found.sha256.hex()}`"),
        ("network", f"{escaped(network)}, chain {found.chain_id}, ledger `0x{found.ledger.hex()}`"),
        ("task and round", f"task {found.task}, {name_round(found.round)} of rounds 0 to {spec.money.rounds - 1}"),
        ("standing", _standing(found)),
        ("model", f"{escaped(spec.model.name)}, {spec.model.size:,} parameters in {len(spec.model.tensors)} tensors"),
        ("sealed as", f"integers with the content root `0x{found.root.hex()}`, in bundle `0x{found.bundle.hex()}`"),
        ("rules", f"`0x{spec.digest.hex()}`: {escaped(spec.aggregation.selection)}, worth {escaped(spec.worth.kind)}, "
                  f"int{spec.codec.bits}, {escaped(spec.training.algorithm)}"),
        ("owner", f"`0x{spec.owner.hex()}`"),
        ("sealed by", ", ".join(f"`0x{who.hex()}` ({count} rounds)" for who, count in found.aggregators.items())),
    ]  # fmt: skip
    parts = [
        f"# {escaped(spec.title) or 'Untitled'}",
        "A model learned by several parties who did not show each other their data. Written by `fl-platform task "
        "model`; what stands here is what chain and store say, and the title is its owner's.",
        _table(("", ""), rows),
        "## What is in the file",
        _content(found.own),
        "## Who took part",
        _took_part(found),
        "## How to check it",
        _checking(found),
    ]
    return checksummed("\n\n".join(parts) + "\n")


def _standing(found: Release) -> str:
    until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(found.final_at))
    if found.state is RoundState.FINAL:
        return f"final since {until} (block time)"
    if found.state is RoundState.CHALLENGED:
        return "**challenged**: a dispute about it is open, and may void it"
    return f"**not final**: it can be challenged, and may be voided, until {until} (block time)"


def _content(own: Own | None) -> str:
    if own is None:
        return (
            "The learned parameters under the names of the module's own: the sealed integers as float32, the same "
            "bytes for everybody. No buffer and no frozen parameter is in it. If the model keeps running statistics "
            "(BatchNorm), estimate them from your own rows before use: `fl-platform task model TASK --data "
            "module:NAME` does, and `fl_platform.learning.statistics.reestimate_statistics`."
        )
    statistics = " Running statistics were estimated from its own training rows." if own.statistics else ""
    base = " The frozen base is merged in." if own.base else ""
    found = own.measured
    return (
        "The whole state of the module that the releasing party's `model()` builds: "
        f"`module.load_state_dict(safetensors.torch.load_file(FILE))`.{statistics}{base}\n\n"
        f"Measured by the releasing party on {found.rows:,} validation rows of its own: {escaped(found.metric)} "
        f"{found.value:.4g}, loss {found.loss:.4g}."
    )  # fmt: skip


def _took_part(found: Release) -> str:
    codes = ", ".join(f"{count} {escaped(code)}" for code, count in sorted(found.refused.items()))
    total = sum(part.in_sum for part in found.parts)
    said = [
        f"{len(found.parts)} trainers; {total} updates are in the sums of the rounds up to this one, "
        f"{sum(found.refused.values())} are not{f' ({codes})' if codes else ''}."
    ]
    rows = [
        (f"`0x{part.address.hex()}`", str(part.in_sum),
         ", ".join(f"{count} {escaped(code)}" for code, count in sorted(part.refused.items())) or "-")
        for part in found.parts[:LISTED]
    ]  # fmt: skip
    said.append(_table(("trainer", "rounds in the sum", "refused"), rows))
    if len(found.parts) > LISTED:
        said.append(f"and {len(found.parts) - LISTED} more.")
    said += [f"Not counted, its bundle could not be had: {escaped(reason)}" for reason in found.unread]
    return "\n\n".join(said)


def _checking(found: Release) -> str:
    sealed = "" if found.own else ", and the file's numbers are its"
    return (
        f"`fl-platform audit {found.task}` recomputes the task from chain and store and names the first difference; "
        f"with `--key WALLET` of an auditor it opens every update. The sealed model is `{found.cid}`{sealed}."
    )  # fmt: skip


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines: list[Sequence[str]] = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
