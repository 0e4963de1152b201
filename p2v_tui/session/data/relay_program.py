"""Packs the package `relay/` into the one file that is sent to the conversion server: a zipapp.

It is built in memory from the installed package's sources, without comments and docstrings. Line numbers do not
change, so that a traceback in relay.log names the file and the line.
"""

from __future__ import annotations

import importlib.resources
import io
import tokenize
import zipfile
from typing import Final

PACKAGE: Final = "p2v_tui.session.data.relay"
# The package's name on the server.
_NAME: Final = "relay"
_MAIN: Final = f"from {_NAME}.program import run\n\nrun()\n"
# The earliest time that a zip file can hold: the same sources make the same bytes.
_TIME: Final = (1980, 1, 1, 0, 0, 0)
# A string between one of these and a NEWLINE is a docstring: a statement that does nothing.
_BEFORE_STATEMENT: Final = {tokenize.ENCODING, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
_NOTHING: Final = {tokenize.COMMENT, tokenize.NL}


def zipapp() -> bytes:
    """What `python3 -I FILE` runs. The same bytes each time."""
    sources = {
        f"{_NAME}/{source.name}": stripped(source.read_text("utf-8"))
        for source in importlib.resources.files(PACKAGE).iterdir()
        if source.name.endswith(".py")
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in sorted({**sources, "__main__.py": _MAIN}.items()):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, compresslevel=9)
    return packed.getvalue()


def stripped(source: str) -> str:
    """A module's source without comments and docstrings, and with the same line numbers."""
    lines = source.splitlines()
    tokens = list(tokenize.tokenize(io.BytesIO(source.encode()).readline))
    words = [token for token in tokens if token.type not in _NOTHING]
    for before, token, following in zip(words, words[1:], words[2:], strict=False):
        alone = before.type in _BEFORE_STATEMENT and following.type == tokenize.NEWLINE
        if token.type == tokenize.STRING and alone:
            (first, column), (last, _) = token.start, token.end
            lines[first - 1 : last] = [lines[first - 1][:column] + '""'] + [""] * (last - first)
    for token in tokens:
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    return "\n".join(lines) + "\n"
