"""Whether KVM really works on this machine, and the settings of qemu and libguestfs for that. Opening /dev/kvm is not
enough: some virtual machines offer a KVM that runs the firmware but hangs for ever as soon as a guest's kernel
starts, and libguestfs hangs with it. So a kernel is started.
"""

from __future__ import annotations

import functools
import os
import select
import subprocess
import time
from pathlib import Path

from tests.lab.commands import program

# A kernel's first line comes within a second, emulated or not; a false "no" on a busy machine costs only speed.
PROBE_SECONDS = 6.0

_FIRST_KERNEL_LINE = b"Linux version"


@functools.cache
def kvm_works() -> bool:
    """Whether a kernel starts under KVM here. Takes up to PROBE_SECONDS the first time, then nothing."""
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and kernel_starts("kvm")


def kernel_starts(accelerator: str, seconds: float = PROBE_SECONDS) -> bool:
    """Whether qemu with this accelerator ("kvm" or "tcg") brings a kernel to its first line in so many seconds.

    Also False without a kernel to try, which libguestfs needs as well.
    """
    kernel = readable_kernel()
    if kernel is None:
        return False
    arguments = [program("qemu-system-x86_64"), "-accel", accelerator]
    arguments += ["-cpu", "host"] if accelerator == "kvm" else []
    arguments += ["-machine", "q35", "-m", "256", "-nodefaults", "-no-user-config", "-display", "none"]
    # Without a root file system the kernel panics, restarts and so ends qemu; mostly it is ended long before.
    arguments += ["-monitor", "none", "-serial", "stdio", "-no-reboot", "-kernel", str(kernel)]
    arguments += ["-append", "console=ttyS0 earlyprintk=serial,ttyS0 panic=-1"]
    with subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as qemu:
        try:
            assert qemu.stdout is not None
            return _appears(_FIRST_KERNEL_LINE, qemu.stdout.fileno(), seconds)
        finally:
            qemu.kill()


def readable_kernel() -> Path | None:
    """The newest kernel of this machine that we may read; None without one."""
    kernels = [*Path("/boot").glob("vmlinuz-*"), *Path("/lib/modules").glob("*/vmlinuz")]
    readable = [kernel for kernel in kernels if os.access(kernel, os.R_OK)]
    return max(readable, key=lambda kernel: kernel.stat().st_mtime, default=None)


def libguestfs_environment() -> dict[str, str]:
    """What virt-v2v and guestfish need in their environment on this machine."""
    # direct: no libvirtd is needed. force_tcg: otherwise libguestfs picks KVM wherever /dev/kvm opens.
    environment = {"LIBGUESTFS_BACKEND": "direct"}
    if not kvm_works():
        environment["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    return environment


def qemu_accel_arguments() -> tuple[str, ...]:
    """qemu's arguments for the fastest guest that works here."""
    return ("-accel", "kvm", "-cpu", "host") if kvm_works() else ("-accel", "tcg,thread=multi")


def _appears(marker: bytes, descriptor: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    seen = b""
    while (remaining := deadline - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], remaining)[0]:
            return False
        chunk = os.read(descriptor, 65536)
        if not chunk:
            return False
        seen += chunk
        if marker in seen:
            return True
    return False
