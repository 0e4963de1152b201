"""The man pages, from the options and the settings: p2v-tui(1), and p2v-tui-image(1), which builds the live image.

argparse-manpage writes the options alone, and one heading for all the rest; the settings are most of the page.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from p2v_tui import __version__, cli, manual
from p2v_tui.config import SETTINGS
from p2v_tui.setting import Setting

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "live-image"))

from imagebuild import options as image_options  # noqa: E402 - the line above says where it is.

# Where Debian's package puts it, which is where most readers of a man page have it from.
DOCUMENTATION = "/usr/share/doc/p2v-tui"

USE = """
p2v-tui runs on the machine to be converted, booted from other media so that nothing writes to its disks, and needs
root to read them. It connects to a conversion server over SSH, serves the disks to it, read-only, through that
connection, and starts virt-v2v(1) there.

It takes its settings from the kernel command line, as virt-p2v(1) does, or from --config or --cmdline. Without
p2v.server it shows screens that ask for them; with it, it converts without a question.
"""
SYNTAX = """
A setting is a word of the kernel command line, of the file of --config, or of --cmdline. A value with spaces in it is
put in double quotes: p2v.post="systemctl poweroff". `p2v-tui --help SETTING` shows one of them.
"""
EXAMPLES = {
    "The screens ask for everything:": "p2v-tui",
    "Check whether a conversion can start, and change nothing:": "p2v-tui --config p2v.conf --dry-run",
    "Convert without a question; p2v.conf, which only root can read, holds "
    "p2v.server=192.0.2.10 p2v.password=secret p2v.os=/srv/guests:": "p2v-tui --config p2v.conf",
    "Show what one setting does:": "p2v-tui --help p2v.os",
}
IMAGE_EXAMPLES = {
    "An ISO for CD and USB stick:": "p2v-tui-image -o p2v-tui.iso",
    "A USB stick; what is on it is lost:": "p2v-tui-image -o /dev/sdX",
    "The files for a network boot, each machine converted without a question:": "p2v-tui-image --pxe /srv/tftp "
    "--kernel-args='p2v.server=192.0.2.10 p2v.identity=https://192.0.2.1/id'",
}
IMAGE_USE = """
The first build fetches about 150 MB of Debian packages; what is slow is kept for the next one. It can be run as root
or as an ordinary user with subordinate ids (subuid(5)). From the sources of p2v-tui it is called live-image/build.py.
"""


def pages() -> dict[Path, str]:
    """Each man page and its text."""
    directory = PROJECT / "share/man/man1"
    return {directory / "p2v-tui.1": program_page(), directory / "p2v-tui-image.1": image_page()}


def program_page() -> str:
    return "".join(
        [
            _head(cli.parser(), "convert a physical machine to a virtual one from a text console"),
            _section("DESCRIPTION", _paragraphs(USE)),
            _section("OPTIONS", _options(cli.parser())),
            _section("SETTINGS", _paragraphs(SYNTAX) + "".join(map(_setting, SETTINGS))),
            _section("EXIT STATUS", "".join(_exit_codes())),
            _section(
                "FILES",
                _tagged("/proc/cmdline", "The kernel command line; it is read if there is no --config or --cmdline.")
                + _tagged(DOCUMENTATION, "The documentation. Start with README.md."),
            ),
            _section("EXAMPLES", _examples(EXAMPLES)),
            _section("SEE ALSO", "p2v\\-tui\\-image(1), virt\\-v2v(1), virt\\-p2v(1), nbdkit(1), ssh(1)\n"),
        ]
    )


def image_page() -> str:
    parser = image_options.parser(image_options.INSTALLED_NAME)
    return "".join(
        [
            _head(parser, "build the live image of p2v-tui"),
            _section("DESCRIPTION", _paragraphs(f"{parser.description}\n{IMAGE_USE}")),
            _section("OPTIONS", _options(parser)),
            _section(
                "FILES",
                _tagged("~/.cache/p2v-tui", "What a later build can use; it may be removed at any time.")
                + _tagged(f"{DOCUMENTATION}/docs/live-image.md", "How to boot a machine from the image."),
            ),
            _section("ENVIRONMENT", _tagged("SOURCE_DATE_EPOCH", "The date of everything in the image.")),
            _section("EXAMPLES", _examples(IMAGE_EXAMPLES)),
            _section("SEE ALSO", "p2v\\-tui(1), mmdebstrap(1)\n"),
        ]
    )


def _head(parser: argparse.ArgumentParser, summary: str) -> str:
    """The page's title, its name and how the command is called."""
    usage = " ".join(parser.format_usage().split())
    options = usage.removeprefix(f"usage: {parser.prog} ")
    return (
        f'.\\" Made by docs/generate.py.\n'
        f'.TH {_text(parser.prog.upper())} 1 "" "p2v\\-tui {__version__}" "p2v\\-tui"\n'
        # No hyphens and no wide gaps: a setting's name is to be found and copied.
        ".nh\n.ad l\n"
        f".SH NAME\n{_text(parser.prog)} \\- {_text(summary)}\n"
        f".SH SYNOPSIS\n.B {_text(parser.prog)}\n{_text(options)}\n"
    )


def _options(parser: argparse.ArgumentParser) -> str:
    return "".join(map(_option, parser._actions))


def _option(action: argparse.Action) -> str:
    value = ""
    if action.nargs != 0:
        value = f" \\fI{_text(str(action.metavar))}\\fR"
        value = f" [{value.lstrip()}]" if action.nargs == "?" else value
    names = ", ".join(f"\\fB{_text(name)}\\fR" for name in action.option_strings)
    text = (
        (action.help or "")
        .replace("%(default)s", "~/.cache/p2v-tui")
        .replace("program's version number", "the version")
    )
    return f".TP\n{names}{value}\n{_sentence(text)}"


def _setting(setting: Setting) -> str:
    value = "" if setting.kind.bare is not None else f"=\\fI{_text(setting.kind.metavar)}\\fR"
    names = ", ".join(f"\\fB{_text(name)}\\fR" for name in manual.names(setting))
    facts = {
        "Value": setting.kind.valid,
        "Default": setting.default_text.replace("`", ""),
        "Example": manual.example(setting),
        "Given again": manual.given_again(setting) if setting.adds_up else "",
    }
    shown = "".join(f".br\n{label}: {_text(text)}\n" for label, text in facts.items() if text)
    return f".TP\n{names}{value}\n{_sentence(' '.join(setting.paragraphs))}{shown}"


def _exit_codes() -> Iterator[str]:
    for number, meaning in re.findall(r"^  (\d)  (.*)$", cli.EXIT_CODES, re.MULTILINE):
        yield _tagged(number, meaning)


def _examples(examples: dict[str, str]) -> str:
    return "".join(f".PP\n{_text(what)}\n.PP\n.RS 4\n.nf\n{_text(how)}\n.fi\n.RE\n" for what, how in examples.items())


def _section(heading: str, body: str) -> str:
    return f".SH {heading}\n{body}"


def _tagged(tag: str, text: str) -> str:
    return f".TP\n\\fB{_text(tag)}\\fR\n{_sentence(text)}"


def _paragraphs(text: str) -> str:
    return "".join(f".PP\n{_text(' '.join(part.split()))}\n" for part in text.strip().split("\n\n"))


def _sentence(text: str) -> str:
    """The text as a sentence: argparse's helps are none."""
    return f"{_text(text[:1].upper() + text[1:]).rstrip('.')}.\n"


def _text(text: str) -> str:
    """The text, with what roff would read as its own escaped."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.MULTILINE)
