"""What the server's virt-v2v can do, from its `--version` and `--machine-readable` alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from p2v_tui.errors import PreflightRefused
from p2v_tui.session.words.terminal_text import plain

OLDEST = (1, 28)


@dataclass(frozen=True)
class VirtV2V:
    """version: as printed, without the program's name. features: the lines of --machine-readable.

    kept_by_sudo: the names of the variables that sudo passes on to it, if it runs under sudo.
    """

    version: str
    features: frozenset[str]
    output_modes: tuple[str, ...]
    kept_by_sudo: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """The first three numbers of the version, for comparisons."""
        return tuple(int(number) for number in re.findall(r"\d{1,6}", self.version)[:3])

    @property
    def one_connection(self) -> bool:
        """Whether it opens exactly one connection to each disk: from 1.45.98 on (commit 20019b5c)."""
        return self.numbers >= (1, 45, 98)

    @property
    def modular(self) -> bool:
        """Whether it reads the disks by nbdkit and copies them by nbdcopy: from 2.0 on. Before, qemu did both."""
        return self.numbers >= (2, 0)

    @property
    def opens_volumes(self) -> bool:
        """Whether it has --key: from 1.42 on. Assumed if the version has no number."""
        return not self.numbers or self.numbers >= (1, 42)

    @property
    def colours(self) -> bool:
        return "colours-option" in self.features


def parse_features(version: str, text: str) -> VirtV2V:
    """text: what --machine-readable printed. Raises PreflightRefused when it has no output mode."""
    lines = [line.strip() for line in plain_lines(text)]
    # Each line is a name: anything else that a server sends is dropped.
    features = [line for line in lines if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9:/._-]{0,63}", line)]
    modes = sorted({line.removeprefix("output:") for line in features if line.startswith("output:")})
    if not modes or "virt-v2v" not in features:
        raise PreflightRefused(
            f"virt-v2v {version} on the conversion server does not say what it can do.",
            f"p2v-tui needs virt-v2v {OLDEST[0]}.{OLDEST[1]} or later.",
        )
    return VirtV2V(version, frozenset(features), tuple(modes))


def plain_lines(text: str) -> list[str]:
    return [plain(line) for line in text.splitlines()]


def parse_version(text: str) -> str:
    """text: what --version printed. Raises PreflightRefused if it is not a version, or too old."""
    match = re.search(r"^virt-v2v (\d{1,4})\.(\d{1,4})(?!\d)(\S{0,80})", "\n".join(plain_lines(text)), re.MULTILINE)
    if match is None:
        said = (plain_lines(text) or [""])[0][:100]
        raise PreflightRefused(
            f"The conversion server's virt-v2v did not print its version but {said!r}.",
            "Run `virt-v2v --version` there and repair the installation.",
        )
    version = f"{match[1]}.{match[2]}{match[3]}"
    if (int(match[1]), int(match[2])) < OLDEST:
        raise PreflightRefused(
            f"The conversion server's virt-v2v is too old: {version}.",
            f"Install virt-v2v {OLDEST[0]}.{OLDEST[1]} or later there.",
        )
    return version
