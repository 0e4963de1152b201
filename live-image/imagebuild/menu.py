"""The boot menus: the templates of bootloader/, filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import BuildError
from imagebuild.lists import HERE, keyboards
from imagebuild.progress import mebibytes

_SPEEDS = ("115200", "9600")


@dataclass(frozen=True)
class Menu:
    """What the entries have in common.

    words: of the kernel's command line, in its own syntax; more_words: the user's, which come last.
    serial: the kernel's name of its serial lines. memory_test: whether its programs are beside the kernel.
    """

    version: str
    words: str
    more_words: str = ""
    serial: str = "ttyS"
    memory_test: bool = False

    @property
    def _consoles(self) -> str:
        """The keyboard's screen and the first serial line; the last one gets what init and the kernel say last."""
        return f"console=tty0 console={self.serial}0,{_SPEEDS[0]}n8"

    def for_grub(self, directory: str, initramfs: str, *, kernel_size: int, initramfs_size: int) -> str:
        """grub.cfg. directory: where the kernel is, as GRUB names it; initramfs: the files, separated by blanks.

        The sizes, in bytes, are shown while that is loaded.
        """
        memory_test = _template("memory-test.cfg") if self.memory_test else ""
        serial = "\n".join(
            f'    menuentry "{line}, {speed} baud" {{\n        start console=tty0 console={line},{speed}n8\n    }}'
            for line in (f"{self.serial}0", f"{self.serial}1")
            for speed in _SPEEDS
        )
        layouts = "\n".join(
            f'    menuentry "{words}: p2v.keymap={name}" {{\n        start {self._consoles} p2v.keymap={name}\n    }}'
            for name, words in keyboards()
        )
        text = _template("grub.cfg").replace("@MEMORY_TEST@\n", memory_test)
        return _filled(
            text,
            DIRECTORY=directory,
            INITRAMFS=initramfs,
            KERNEL_SIZE=mebibytes(kernel_size),
            INITRAMFS_SIZE=mebibytes(initramfs_size),
            WORDS=_in_grub(self.words),
            MORE_WORDS=_in_grub(self.more_words),
            SERIAL_ENTRIES=serial,
            KEYBOARD_ENTRIES=layouts,
            VERSION=self.version,
            CONSOLES=self._consoles,
        )

    def for_pxelinux(self) -> str:
        return self._plain("pxelinux.cfg")

    def for_ipxe(self) -> str:
        return self._plain("boot.ipxe")

    def _plain(self, name: str) -> str:
        """A menu whose loader passes on the words as they are written."""
        values = {
            "WORDS": self.words,
            "MORE_WORDS": self.more_words,
            "CONSOLES": self._consoles,
            "VERSION": self.version,
        }
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
