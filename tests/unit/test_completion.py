"""The completion of bash, in a real bash: what is typed with the key Tab in it, and the arguments that come of it."""

from __future__ import annotations

import re
from pathlib import Path

import pexpect
import pytest

pytestmark = pytest.mark.integration

COMPLETION = Path(__file__).parents[2] / "share/bash-completion/completions/p2v-tui"
TAB = "\t"


def completed(line: str) -> str:
    """The arguments, each in < >, of a line that is typed there."""
    # A dumb terminal: no escape sequences in what it prints.
    bash = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile", "-i"],
        env={"PATH": "/usr/bin:/bin", "TERM": "dumb"},
        encoding="utf-8",
        timeout=30,
    )
    try:
        bash.sendline("bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; PS1=; PS2=")
        bash.sendline(
            f". {COMPLETION}; p2v-tui() {{ printf 'args:'; printf '<%s>' \"$@\"; echo :end; }}; echo rea''dy"
        )
        bash.expect_exact("ready")
        bash.sendline(line)
        bash.expect(r"args:(.*):end")
        assert isinstance(bash.match, re.Match)
        return str(bash.match[1])
    finally:
        bash.close(force=True)


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        (f"p2v-tui --dry{TAB}", "<--dry-run>"),
        (f"p2v-tui --dry-run --verb{TAB}", "<--dry-run><--verbose>"),
        (f"p2v-tui --help p2v.acc{TAB}", "<--help><p2v.accept_warnings>"),
        (f"p2v-tui --help=p2v.acc{TAB}", "<--help=p2v.accept_warnings>"),
        (f"p2v-tui --cmdline p2v.mem{TAB}16G", "<--cmdline><p2v.memory=16G>"),
        (f"p2v-tui --cmdline=p2v.mem{TAB}16G", "<--cmdline=p2v.memory=16G>"),
        (f"p2v-tui --cmdline p2v.nbd=q{TAB}", "<--cmdline><p2v.nbd=qemu-nbd>"),
        (f'p2v-tui --cmdline "p2v.server=x p2v.mem{TAB}16G"', "<--cmdline><p2v.server=x p2v.memory=16G>"),
        (f"p2v-tui --cmdline='p2v.server=x p2v.nbd=q{TAB}", "<--cmdline=p2v.server=x p2v.nbd=qemu-nbd>"),
        (
            f'p2v-tui --cmdline "p2v.server=x p2v.nbd=q{TAB} --dry{TAB}',
            "<--cmdline><p2v.server=x p2v.nbd=qemu-nbd><--dry-run>",
        ),
        (f"p2v-tui --config /etc/host{TAB}n{TAB}", "<--config></etc/hostname>"),
    ],
)
def test_tab_completes_options_and_settings(line: str, arguments: str) -> None:
    assert completed(line) == arguments
