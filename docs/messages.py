"""Every text that p2v-tui can show, found in its source: what a person reads through to judge the wording.

A text is a string with two words or more that is not a docstring, a script, a pattern or a style. So none can be
missed, whichever function makes it; what belongs to one call (a message and its advice) stays together. What is
filled in shows as {its expression}.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "p2v_tui"
COLUMNS = 80
# They hold commands, patterns and protocol, and nothing that is shown.
SILENT = {"commands.py", "survey_command.py", "look.py", "__init__.py"}
# Two words in a row, as prose has them.
_PROSE = re.compile(r"[A-Za-z,;:.}'\")!?] +[A-Za-z({'\"`]")
# What only scripts, patterns, styles, formats and XML have.
_CODE = re.compile(
    r"\$\(|\$\{|\\[bdsSw(]|\(\?|&&|\|\||2>|<[a-z/!?]|; *(do|then|fi)\b|^#!|^\s*[A-Za-z.#]+ *\{[^}]*;|exec |\[\^|=\"\{"
    r"|: auto;|bind-key|if-shell|\bfilter=\["
)

HEAD = """Every text that p2v-tui can show, from its source, at 80 columns: what is filled in stands in {braces}.
Made by `python docs/generate.py`. Read it as the operator would: what happened, to what, and what helps.
"""


def page() -> str:
    """The file with all texts, module by module."""
    parts = [textwrap.fill(HEAD, COLUMNS)]
    for path in sorted(PACKAGE.rglob("*.py")):
        blocks = list(texts(path)) if path.name not in SILENT else []
        if blocks:
            parts.append(f"== {path.relative_to(PACKAGE.parent)}")
            parts += ["\n".join(_wrapped(text) for text in block) for block in blocks]
    return "\n\n".join(parts) + "\n"


def texts(path: Path) -> Iterator[tuple[str, ...]]:
    """The texts of a module in the order of its source, each with those of the same call."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            child.parent = node  # type: ignore[attr-defined]
    blocks: dict[int, list[str]] = {}
    for node in _in_order(tree):
        text = _text(node)
        if text and _is_shown(text, node):
            blocks.setdefault(id(_call_of(node)), []).append(text)
    seen = set()
    for block in map(tuple, blocks.values()):
        if block not in seen:
            seen.add(block)
            yield block


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """The strings in it, from the first line to the last; not the parts of a longer one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr | ast.Constant):
            yield child
        if isinstance(child, ast.JoinedStr):
            # A string inside what is filled in may be a text of its own.
            for part in child.values:
                if isinstance(part, ast.FormattedValue):
                    yield from _in_order(part)
        else:
            yield from _in_order(child)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    assert isinstance(node, ast.JoinedStr)
    return "".join(
        part.value if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}"
        for part in node.values
        if isinstance(part, ast.Constant | ast.FormattedValue)
    )


def _is_shown(text: str, node: ast.AST) -> bool:
    plain = re.sub(r"\{[^{}]*\}", "{}", text)
    return bool(_PROSE.search(plain)) and not _CODE.search(plain) and not _is_docstring(node)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node.parent, ast.Expr)  # type: ignore[attr-defined]


def _call_of(node: ast.AST) -> ast.AST:
    """The call, or the statement, that the text belongs to."""
    while not isinstance(node, ast.Call | ast.stmt):
        node = node.parent  # type: ignore[attr-defined]
    return node


def _wrapped(text: str) -> str:
    paragraphs = [line for line in text.split("\n") if line.strip()]
    return "\n".join(
        textwrap.fill(line, COLUMNS, initial_indent="" if number == 0 else "  ", subsequent_indent="  ")
        for number, line in enumerate(paragraphs)
    )
