"""The completion, in a real bash and zsh: what is typed with the key Tab in it, and the arguments that come of it."""

from __future__ import annotations

import re
from pathlib import Path

import pexpect
import pytest

pytestmark = pytest.mark.integration

SHARE = Path(__file__).parents[2] / "share"
# How each is started without anybody's settings, and made ready: no bell, no prompt, no escape sequences.
SHELLS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; PS1=; PS2=; "
        f". {SHARE}/bash-completion/completions/p2v-tui",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "unsetopt beep prompt_cr prompt_sp; PS1=; PS2=; "
        f"fpath=({SHARE}/zsh/site-functions $fpath); autoload -Uz compinit; compinit -D -u",
    ),
}
TAB = "\t"


def completed(name: str, line: str) -> str:
    """The arguments, each in < >, of a line that is typed in this shell."""
    (program, *options), make_ready = SHELLS[name]
    # A dumb terminal: no escape sequences in what it prints.
    shell = pexpect.spawn(
        program,
        options,
        env={"PATH": "/usr/bin:/bin", "TERM": "dumb"},
        encoding="utf-8",
        timeout=30,
    )
    try:
        shell.sendline(make_ready)
        shell.sendline("p2v-tui() { printf 'args:'; printf '<%s>' \"$@\"; echo :end; }; echo rea''dy")
        shell.expect_exact("ready")
        shell.sendline(line)
        shell.expect(r"args:(.*):end")
        assert isinstance(shell.match, re.Match)
        return str(shell.match[1])
    finally:
        shell.close(force=True)


@pytest.mark.parametrize("shell", SHELLS)
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
def test_tab_completes_options_and_settings(line: str, arguments: str, shell: str) -> None:
    assert completed(shell, line) == arguments
