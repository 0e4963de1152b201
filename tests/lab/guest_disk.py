"""Makes, once, the small real Debian disks that the demo and the tests convert.

`system` is a whole Debian: MBR, GRUB, one ext4, a kernel with an initramfs for IDE and virtio, systemd, a login on
the first serial port. `data` is a second disk with one file; if it is attached, the system mounts it and shows the
file's text on the serial console, so that one boot proves both disks.

The disks are built from Debian's packages as this machine's own apt is set up to get them, and kept outside the
source tree. They are made for short conversions: under emulation most of a conversion is update-initramfs inside
the guest, so that the guest has few kernel modules and packs its initramfs quickly.

Not here: converting, booting. Nothing here needs root, but an ordinary user needs the uidmap package.

    python -m tests.lab.guest_disk [system|data]
"""

from __future__ import annotations

import enum
import functools
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from tests.lab.commands import run_command
from tests.lab.debian import apt_sources, build_by_name, cache_directory, mmdebstrap, only_builder
from tests.lab.kvm import libguestfs_environment


class GuestDisk(enum.Enum):
    """The kinds of disks."""

    SYSTEM = "system"
    DATA = "data"


# What `system` prints before its login prompt once it has read the file on `data`.
DATA_DISK_TEXT = "The data disk is here: tweed-lantern-4711"
GUEST_HOST_NAME = "p2v-guest"
ROOT_PASSWORD = "guest"  # For a throw-away guest without a network.

_PACKAGES = (
    "grub-pc",
    "initramfs-tools",
    "linux-image-cloud-amd64",
    "qemu-guest-agent",  # Otherwise the converted guest tries to install it at its first boot.
    "systemd-sysv",
    "udev",
)
# What the initramfs loads: the disk buses before the conversion and after it.
_BOOT_MODULES = ("ata_generic", "ata_piix", "ahci", "sd_mod", "virtio_pci", "virtio_blk", "virtio_scsi", "ext4")
# virt-v2v looks for these to decide which virtual hardware the guest gets.
_OTHER_MODULES = ("virtio_net", "virtio_rng", "virtio_balloon", "virtio_console", "virtio_input", "autofs4")

# Fixed, so that the guest's root can be finished before its disk exists.
_SYSTEM_UUID = "a0e1c6d2-5b0f-4a57-9d0e-2f6f3c1b7a11"
_DATA_UUID = "a0e1c6d2-5b0f-4a57-9d0e-2f6f3c1b7a22"
_DATA_DEVICE_UNIT = r"dev-disk-by\x2duuid-" + _DATA_UUID.replace("-", r"\x2d") + ".device"

_SYSTEM_MIB = 640
_DATA_MIB = 96

# Seconds. A machine with a slow network, or one that does all this emulated on one busy core, still gets through.
_ROOT_SECONDS = 1200.0
_IMAGE_SECONDS = 900.0

# Runs outside the new root, whose path is $1, as (in unshare mode: seemingly) root.
_ROOT_HOOK = rf"""
set -eu
root="$1"

cat > "$root/etc/fstab" <<'END'
UUID={_SYSTEM_UUID} / ext4 defaults,errors=remount-ro 0 1
# Mounted when the disk appears, and not waited for when it never does.
UUID={_DATA_UUID} /srv/data ext4 ro,noauto,nofail,x-systemd.wanted-by={_DATA_DEVICE_UNIT} 0 2
END
mkdir -p "$root/srv/data"

cat > "$root/etc/systemd/system/show-data-disk.service" <<'END'
[Unit]
Description=Show on the console what the data disk says
BindsTo=srv-data.mount
After=srv-data.mount
Before=getty.target serial-getty@ttyS0.service

[Service]
Type=oneshot
ExecStart=/bin/cat /srv/data/message
StandardOutput=tty
TTYPath=/dev/ttyS0

[Install]
WantedBy=srv-data.mount
END
chroot "$root" systemctl enable show-data-disk.service
# Nothing that would do work of its own during a boot of a few seconds.
chroot "$root" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-hwdb-update.service systemd-pcrphase.service

echo '{GUEST_HOST_NAME}' > "$root/etc/hostname"
printf '127.0.0.1 localhost {GUEST_HOST_NAME}\n' > "$root/etc/hosts"
echo 'root:{ROOT_PASSWORD}' | chroot "$root" chpasswd

cat > "$root/etc/default/grub" <<'END'
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_RECORDFAIL_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="console=ttyS0"
GRUB_TERMINAL=console
GRUB_DISABLE_OS_PROBER=true
END

kernel=$(ls "$root/lib/modules")
modules="$root/lib/modules/$kernel"
chroot "$root" modprobe --set-version "$kernel" --show-depends --all {" ".join(_BOOT_MODULES + _OTHER_MODULES)} \
    | sed -n 's,^insmod .*/\([^/ ]*\).*,\1,p' > "$root/kept" || true
find "$modules/kernel" -name '*.ko*' -type f -printf '%f\n' | grep -vxFf "$root/kept" | while read -r module; do
    find "$modules/kernel" -name "$module" -type f -delete
done
rm "$root/kept"
find "$modules/kernel" -type d -empty -delete
chroot "$root" depmod "$kernel"

cat > "$root/etc/initramfs-tools/conf.d/small-and-quick" <<'END'
MODULES=list
COMPRESS=gzip
COMPRESSLEVEL=1
FSTYPE=ext4
RESUME=none
END
printf '%s\n' {" ".join(_BOOT_MODULES)} > "$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u -k "$kernel"

rm -rf "$root"/usr/lib/udev/hwdb.d "$root"/usr/lib/udev/hwdb.bin "$root"/etc/udev/hwdb.bin \
    "$root"/usr/share/info "$root"/var/cache/debconf/*-old
"""


def guest_disk(kind: GuestDisk = GuestDisk.SYSTEM) -> Path:
    """The disk image of this kind, raw and read-only; made first if necessary. Callers copy it.

    Making `system` takes about two minutes, or longer without KVM. Raises LabFailure.
    """
    keep = cache_directory() / f"guest-{kind.value}-{_inputs_hash(kind)}"
    image = keep / f"{kind.value}.img"
    if image.exists():
        return image
    with only_builder(f"guest-{kind.value}", f"The guest disk '{kind.value}'"):
        if image.exists():
            return image
        with tempfile.TemporaryDirectory(prefix="building-", dir=cache_directory()) as scratch:
            building = Path(scratch) / "disk"
            building.mkdir()
            _BUILDERS[kind](building / image.name, Path(scratch))
            (building / image.name).chmod(0o444)
            building.rename(keep)
        for old in cache_directory().glob(f"guest-{kind.value}-*"):
            if old.is_dir() and old != keep:
                shutil.rmtree(old)
    return image


def private_copy(image: Path, directory: Path) -> Path:
    """A writable sparse copy of an image, in `directory` under the image's own name."""
    copy = directory / image.name
    run_command(["cp", "--reflink=auto", "--sparse=always", "--", image, copy], timeout=_IMAGE_SECONDS)
    copy.chmod(0o600)
    return copy


def _inputs_hash(kind: GuestDisk) -> str:
    inputs = Path(__file__).read_text()
    if kind is GuestDisk.SYSTEM:
        inputs += _package_versions()
    return hashlib.sha256(inputs.encode()).hexdigest()[:12]


@functools.cache
def _package_versions() -> str:
    policy = run_command(["apt-cache", "policy", *_PACKAGES], timeout=60)
    lines = [line.strip() for line in policy.splitlines()]
    return "\n".join(line for line in lines if line.startswith("Candidate:") or not line.count(" "))


def _build_system(image: Path, scratch: Path) -> None:
    tarball = scratch / "root.tar"
    suite, sources = apt_sources()
    arguments = mmdebstrap(f"--include={','.join(_PACKAGES)}")
    for unread in ("man", "locale", "doc", "info", "bash-completion", "zoneinfo"):
        arguments.append(f"--dpkgopt=path-exclude=/usr/share/{unread}/*")
    arguments.append("--dpkgopt=path-include=/usr/share/doc/*/copyright")
    arguments += [f"--customize-hook={_ROOT_HOOK}", suite, str(tarball), "-"]
    run_command(arguments, timeout=_ROOT_SECONDS, stdin=sources, log=cache_directory() / "mmdebstrap.log")
    # The appliance's own disk may have been found before ours: guestfish's /dev/sda is then /dev/sdb to the programs
    # inside, so that grub-install has to be told by GRUB itself which disk it is on.
    _guestfish(
        image,
        _SYSTEM_MIB,
        f"""
        part-init /dev/sda mbr
        part-add /dev/sda primary 2048 -1
        part-set-bootable /dev/sda 1 true
        mke2fs /dev/sda1 fstype:ext4 uuid:{_SYSTEM_UUID} label:guest
        mount-options discard /dev/sda1 /
        tar-in {tarball} /
        sh "grub-install --target=i386-pc $(grub-probe --target=disk /)"
        command update-grub
        fstrim /
        """,
    )


def _build_data(image: Path, _scratch: Path) -> None:
    _guestfish(
        image,
        _DATA_MIB,
        f"""
        part-init /dev/sda gpt
        part-add /dev/sda primary 2048 -2048
        part-set-name /dev/sda 1 data
        mke2fs /dev/sda1 fstype:ext4 uuid:{_DATA_UUID} label:data
        mount /dev/sda1 /
        write /message "{DATA_DISK_TEXT}\\n"
        """,
    )


_BUILDERS = {GuestDisk.SYSTEM: _build_system, GuestDisk.DATA: _build_data}


def _guestfish(image: Path, mebibytes: int, commands: str) -> None:
    with image.open("wb") as file:
        file.truncate(mebibytes << 20)
    script = f"add {image} format:raw discard:besteffort cachemode:unsafe\nrun\n{commands}\nshutdown\n"
    run_command(
        ["guestfish"],
        timeout=_IMAGE_SECONDS,
        stdin="\n".join(line.strip() for line in script.splitlines()),
        environment=libguestfs_environment(),
    )


if __name__ == "__main__":
    sys.exit(build_by_name("tests.lab.guest_disk", GuestDisk, guest_disk))
