"""The sources of the Debian packages, and mmdebstrap, which installs them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imagebuild.commands import run
from imagebuild.errors import BuildError

FIRMWARE_COMPONENT = "non-free-firmware"
# Files made during the installation get this date (Debian 12's), which is replaced in the end. With a varying date
# the slow part would be rebuilt each day.
INSTALL_DATE = 1686355200


@dataclass(frozen=True)
class Release:
    """suite: Debian's name of it, as in a sources.list; python: the version that its packages have."""

    suite: str
    python: str


# The first is the default. It makes the smaller image; docs/live-image.md has the figures.
RELEASES = {each.suite: each for each in (Release("bookworm", "3.11"), Release("trixie", "3.13"))}


@dataclass(frozen=True)
class Sources:
    """lines: of a sources.list; with_firmware: whether non-free-firmware is among them."""

    lines: str
    with_firmware: bool


def sources(suite: str, mirrors: Sequence[str], *, firmware: bool) -> Sources:
    """The sources of a release: these mirrors, or without any this machine's apt sources.

    suite: the release. mirrors: URLs of Debian mirrors, or lines of a sources.list.
    firmware: look into their non-free-firmware as well.
    """
    if mirrors:
        components = f"main {FIRMWARE_COMPONENT}" if firmware else "main"
        lines = "".join(_lines_of_mirror(mirror, suite, components) for mirror in mirrors)
        return Sources(lines, FIRMWARE_COMPONENT in lines)
    found = of_release(suite, _entries_of_apt())
    with_firmware = any(FIRMWARE_COMPONENT in entry for entry in found)
    wanted = {"main", FIRMWARE_COMPONENT} if firmware else {"main"}
    return Sources("".join(f"deb {' '.join(entry)}\n" for entry in found if entry[-1] in wanted), with_firmware)


def _lines_of_mirror(mirror: str, suite: str, components: str) -> str:
    if mirror.startswith("deb "):
        return f"{mirror}\n"
    return "".join(f"deb {mirror} {name} {components}\n" for name in (suite, f"{suite}-updates"))


def of_release(suite: str, entries: Sequence[Sequence[str]]) -> list[list[str]]:
    """The entries of one release (repository, suite, component), from the repositories of this machine's. Preferably
    those of the release itself: Debian does not test a mixture of releases.
    """
    # bookworm before bookworm-updates and bookworm-security, which are useless alone.
    releases = {entry[1].partition("-")[0] for entry in entries}
    own = suite if suite in releases else min((entry[1] for entry in entries), key=len)
    return [
        [repository, suite + name.removeprefix(own), component]
        for repository, name, component in entries
        if name.partition("-")[0] == own
    ]


def _entries_of_apt() -> list[list[str]]:
    """Repository, suite and component of each of apt's Debian sources. Raises BuildError if it has none."""
    fields = "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    targets = run(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"])
    found = [line.split() for line in dict.fromkeys(targets.splitlines())]
    # The image needs nothing from other vendors' repositories.
    entries = [entry[1:] for entry in found if len(entry) == 4 and entry[0] == "Debian"]
    if not entries:
        raise BuildError(
            "apt knows no packages of Debian here.",
            "`apt-get update` as root fetches its lists; on another system give --mirror=URL, of a mirror of Debian.",
        )
    return entries


def mmdebstrap(
    *arguments: str, architecture: str, variant: str, include: Iterable[str] = (), hooks: Sequence[str] = ()
) -> list[str]:
    """A command line of mmdebstrap's options; suite, target and sources follow them.

    It runs as root, or as an ordinary user with subordinate ids.
    """
    words = ["mmdebstrap", f"--mode={'root' if os.geteuid() == 0 else 'unshare'}", f"--variant={variant}"]
    # --verbose: what apt and dpkg say, as they work for minutes.
    words += ["--verbose", f"--architectures={architecture}", *_apt_options(), *arguments, *hooks]
    wanted = ",".join(include)
    return [*words, f"--include={wanted}"] if wanted else words


def _apt_options() -> list[str]:
    """This machine's apt settings for fetching (a proxy, dates that are not checked)."""
    settings = run(["apt-config", "dump", "--no-empty", "Acquire"]).splitlines()
    # mmdebstrap itself chooses which lists to fetch.
    return [f"--aptopt={line}" for line in settings if not line.startswith("Acquire::IndexTargets")]


def resolved(include: Iterable[str], suite: str, architecture: str, origin: Sources) -> tuple[str, ...]:
    """What apt would install for these packages, as `name version architecture`, sorted.

    Raises BuildError with apt's words if a package was not found.
    """
    command = mmdebstrap("--simulate", architecture=architecture, variant="essential", include=include)
    said = run([*command, suite, "/dev/null", "-"], stdin=origin.lines).splitlines()
    # "Inst tmux (3.3a-3 Debian:12.15/oldstable [amd64])"; essential packages are listed by a separate run.
    installed = {
        f"{line.split()[1]} {line.split('(')[1].split()[0]} {line.split('[')[-1].split(']')[0]}"
        for line in said
        if line.startswith("Inst ") and "(" in line and "[" in line
    }
    if not installed:
        raise BuildError("mmdebstrap did not say what it would install.", "Is its version at least 1.3?")
    return tuple(sorted(installed))
