"""The differences between Debian's architectures. The tests boot amd64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imagebuild.commands import run
from imagebuild.errors import BuildError


@dataclass(frozen=True)
class Architecture:
    """name: Debian's. efi: how UEFI abbreviates it, in the names of its loaders. machine: the kernel's name.

    bios: whether it can boot with a BIOS. serial: the kernel's name of its serial lines, without the number.
    """

    name: str
    machine: str
    kernel: str
    efi: str
    grub: str
    serial: str
    bios: bool

    @property
    def loader_packages(self) -> tuple[str, ...]:
        """Packages with the boot loaders, which are unpacked, not installed."""
        signed = (f"grub-efi-{self.name}-signed", "shim-signed", f"shim-helpers-{self.name}-signed")
        return (*signed, "grub-pc-bin", "memtest86+", "pxelinux", "syslinux-common") if self.bios else signed


ARCHITECTURES = {
    each.name: each
    for each in (
        Architecture("amd64", "x86_64", "linux-image-amd64", efi="x64", grub="x86_64-efi", serial="ttyS", bios=True),
        Architecture(
            "arm64", "aarch64", "linux-image-arm64", efi="aa64", grub="arm64-efi", serial="ttyAMA", bios=False
        ),
    )
}


def architecture(name: str | None, interpreters: Path = Path("/proc/sys/fs/binfmt_misc")) -> Architecture:
    """The architecture of this name, or this machine's. Raises BuildError if it cannot be built here."""
    own = _own()
    wanted = name or own
    if wanted not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise BuildError(f"The live image cannot be built for {wanted}.", f"It can be built for {known}.")
    found = ARCHITECTURES[wanted]
    if wanted != own and not _runs(found, interpreters.joinpath):
        raise BuildError(
            f"An image for {wanted} is made by programs for {wanted}, and this {own} machine cannot run them.",
            "Install qemu-user-static, binfmt-support and arch-test, or build it on such a machine.",
        )
    return found


def is_foreign(architecture: Architecture) -> bool:
    return architecture.name != _own()


def _own() -> str:
    return run(["dpkg", "--print-architecture"]).strip()


def _runs(foreign: Architecture, interpreter: Callable[[str], Path]) -> bool:
    return interpreter(f"qemu-{foreign.machine}").exists()
