"""The boot menus: the templates of bootloader/, filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import BuildError
from imagebuild.lists import HERE

# The keyboard and the first serial line; the last one is /dev/console, where the kernel's last words go.
_CONSOLES = "console=tty0 console=ttyS0,115200n8"
_SERIAL_LINES = (("ttyS0", "115200"), ("ttyS0", "9600"), ("ttyS1", "115200"), ("ttyS1", "9600"))


@dataclass(frozen=True)
class Menu:
    """What the entries have in common.

    words: of the kernel's command line, in its own syntax; more_words: the user's, which come last.
    memory_test: whether its programs are beside the kernel.
    """

    version: str
    words: str
    more_words: str = ""
    memory_test: bool = False

    def for_grub(self, directory: str, initramfs: str) -> str:
        """grub.cfg. directory: where the kernel is, as GRUB names it; initramfs: the files, separated by blanks."""
        memory_test = _template("memory-test.cfg") if self.memory_test else ""
        serial = "\n".join(
            f'    menuentry "{line}, {speed} baud" {{\n        start console=tty0 console={line},{speed}n8\n    }}'
            for line, speed in _SERIAL_LINES
        )
        text = _template("grub.cfg").replace("@MEMORY_TEST@\n", memory_test)
        return _filled(
            text,
            DIRECTORY=directory,
            INITRAMFS=initramfs,
            WORDS=_in_grub(self.words),
            MORE_WORDS=_in_grub(self.more_words),
            SERIAL_ENTRIES=serial,
            VERSION=self.version,
            CONSOLES=_CONSOLES,
        )

    def for_pxelinux(self) -> str:
        return self._plain("pxelinux.cfg")

    def for_ipxe(self) -> str:
        return self._plain("boot.ipxe")

    def _plain(self, name: str) -> str:
        """A menu whose loader passes on the words as they are written."""
        values = {"WORDS": self.words, "MORE_WORDS": self.more_words, "CONSOLES": _CONSOLES, "VERSION": self.version}
        return "".join(f"{line.rstrip()}\n" for line in _filled(_template(name), **values).splitlines())


def kernel_words(text: str) -> list[str]:
    """The words of a kernel command line: a double-quoted part may have blanks in it.

    Raises BuildError for what no boot loader could pass on.
    """
    if text.count('"') % 2 or not text.isprintable():
        raise BuildError(
            f"The kernel arguments {text!r} have an odd number of double quotes, or an unprintable character.",
            "Write them as on a kernel command line: --kernel-args='p2v.o=disk p2v.post=\"systemctl reboot\"'.",
        )
    return re.findall(r'(?:[^\s"]|"[^"]*")+', text)


def _in_grub(text: str) -> str:
    return " ".join(_grub_word(word) for word in kernel_words(text))


def _grub_word(word: str) -> str:
    """A word as a GRUB script has it. GRUB puts a word with blanks into double quotes for the kernel by itself."""
    plain = word.replace('"', "")
    return plain if re.fullmatch(r"[A-Za-z0-9._,:=/@+-]+", plain) else "'" + plain.replace("'", "'\\''") + "'"


def _template(name: str) -> str:
    return Path(HERE / "bootloader" / name).read_text()


def _filled(text: str, **values: str) -> str:
    # Once over the text, so that what is filled in is not looked at again.
    return re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], text)
