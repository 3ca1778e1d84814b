"""Links of a page to code: [`Owner.open`](../fl_platform/round/owner.py) names what is defined in the file."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED_LINK = re.compile(r"\[`([^`\]]+)`\]\(([^)#\s]+\.(?:py|sol))\)")
_SOLIDITY = re.compile(
    r"\b(?:function|struct|enum|event|error|contract|library|interface)\s+([A-Za-z_]\w*)"
    r"|\b(?:u?int\d*|bytes\d*|address|bool)\s+(?:(?:public|internal|private|constant|immutable)\s+)*([A-Za-z_]\w*)\s*[;=]"
)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


@cache
def defined(path: Path) -> frozenset[str]:
    """Return what a Python or Solidity file defines: functions, classes, methods, fields, constants."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return frozenset(_python(ast.parse(text).body, ""))
    return frozenset(one or other for one, other in _SOLIDITY.findall(_COMMENT.sub("", text)))


def _python(body: list[ast.stmt], inside: str) -> set[str]:
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(inside + node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {inside + node.name} | _python(node.body, f"{inside}{node.name}.")
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(inside + node.target.id)
        elif isinstance(node, ast.Assign):
            found |= {inside + target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def is_defined(name: str, path: Path) -> bool:
    """Whether a file defines a name, or is the module of it. Of Solidity's `Contract.function` the last part counts."""
    return name == path.stem or (name if path.suffix == ".py" else name.rpartition(".")[2]) in defined(path)


def named_links(text: str) -> list[tuple[str, str]]:
    """Return (name, target) of every link whose text is a name in code, not a file's."""
    return [
        (name, target) for name, target in NAMED_LINK.findall(text) if re.fullmatch(r"[\w.]+(?<!\.py)(?<!\.sol)", name)
    ]


def broken_links(page: str, text: str | None = None) -> list[str]:
    """Return the links of a page (its path from the root) that lead to no file, or to one without the name."""
    path = ROOT / page
    text = path.read_text(encoding="utf-8") if text is None else text
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    targets = {target for target in re.findall(r"\]\(([^)\s]+)\)", plain) if "://" not in target}
    broken = [target for target in sorted(targets) if not _leads_somewhere(path, target)]
    for name, target in named_links(plain):
        file = path.parent / target
        if file.exists() and not is_defined(name, file):
            broken.append(f"{name} is not defined in {target}")
    return broken


def _leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    return file.exists() and (not anchor or file.suffix != ".md" or anchor in anchors(file))


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    plain = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings)


def table(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading of level 2 or 3, without its first two lines."""
    section = re.split(r"\n##+ ", text.partition(f"# {heading}\n")[2])[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))] for line in lines[2:]]
