"""What is in the image that was built, and that the same inputs make the same image."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest
from imagebuild import cache, lists
from imagebuild.debian import RELEASES

from p2v_tui.keyboard import Keyboard
from tests.lab.commands import LabFailure, run_command
from tests.live_image.builder import run_build
from tests.live_image.conftest import LiveImage

# They share the unpacked root.
pytestmark = pytest.mark.xdist_group("image")
# An ordinary user builds the image, but cannot enter it by chroot.
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the root directory")

MEBIBYTE = 2**20
# Programs that the issue, the manual pages and p2v-tui itself count on.
PROGRAMS = (
    *("bin/nbdkit", "bin/qemu-nbd", "bin/curl", "bin/ssh", "bin/tmux", "bin/nano", "bin/less", "bin/python3"),
    *("bin/nmcli", "bin/nmtui", "bin/ip", "bin/lsscsi", "bin/lspci", "bin/lsusb", "bin/lsblk", "bin/setpriv"),
    *("sbin/ethtool", "sbin/lvm", "sbin/mdadm", "sbin/multipath", "sbin/iscsiadm", "sbin/cryptsetup"),
    *("sbin/smartctl", "sbin/nvme", "sbin/sshd", "bin/p2v-tui"),
)


@pytest.fixture(scope="session")
def root(live_image: LiveImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root file system of the image, unpacked; as root with its owners, modes and devices."""
    directory = tmp_path_factory.mktemp("root")
    run_command(
        ["xorriso", "-osirrox", "on", "-indev", live_image.iso, "-extract", "/live", directory / "live"], timeout=120
    )
    run_command(
        [
            "unsquashfs",
            "-no-progress",
            "-no-xattrs",
            "-dest",
            directory / "root",
            directory / "live/filesystem.squashfs",
        ],
        timeout=300,
    )
    return directory / "root"


def test_it_is_smaller_than_250_megabytes(live_image: LiveImage) -> None:
    assert live_image.iso.stat().st_size <= 250_000_000


def test_the_build_says_how_large_each_part_is(live_image: LiveImage) -> None:
    for part in ("kernel ", "initramfs", "root file system, packed", "kernel modules, unpacked", "Python, unpacked"):
        assert re.search(rf"^ +{re.escape(part)}.* [\d.]+ MiB$", live_image.said, re.MULTILINE), part


def test_bios_and_uefi_both_find_it_on_a_cd_and_on_a_stick(live_image: LiveImage) -> None:
    said = run_command(
        ["xorriso", "-indev", live_image.iso, "-report_el_torito", "plain", "-report_system_area", "plain"],
        timeout=60,
    )
    assert re.search(r"El Torito boot img : +1 +BIOS +y ", said)
    assert re.search(r"El Torito boot img : +2 +UEFI +y ", said)
    # The boot sector of a stick for BIOS; the partition on it for UEFI.
    assert "grub2-mbr" in said
    assert re.search(r"GPT type GUID +: +2 +28732ac11ff8d211ba4b00a0c93ec93b", said)


def test_the_programs_are_there(root: Path) -> None:
    assert [name for name in PROGRAMS if not os.access(root / "usr" / name, os.X_OK)] == []


@as_root
def test_each_common_keyboard_layout_is_there_and_loadkeys_understands_it(root: Path) -> None:
    keyboard = Keyboard(maps=root / "usr/share/keymaps", common=root / "usr/share/p2v-tui/keyboards.txt")
    layouts = keyboard.common()
    assert {layout.name for layout in layouts} >= {"us", "uk", "de", "fr", "ch", "es", "it", "se", "pl", "cz", "jp"}
    assert {layout.keymap for layout in layouts} <= set(keyboard.keymaps())
    for layout in layouts:
        # The kernel's table of it, which needs no keyboard.
        run_command(["chroot", root, "loadkeys", "--unicode", "--mktable", layout.keymap], timeout=60)


def test_dmraid_is_there_where_debian_has_it(live_image: LiveImage, root: Path) -> None:
    assert os.access(root / "usr/sbin/dmraid", os.X_OK) == (live_image.release == "bookworm")


def test_no_compiler_no_x_no_documentation_no_pip_is_in_it(root: Path) -> None:
    unwanted = ("gcc", "cc", "make", "ld", "Xorg", "startx", "pip", "pip3", "apt", "apt-get", "man", "cpan")
    assert [name for name in unwanted if (root / "usr/bin" / name).exists()] == []
    libraries = [root / "usr/lib/python3/dist-packages", root / "usr/lib/p2v-tui"]
    assert not [name for name in ("pip", "setuptools") for place in libraries if (place / name).exists()]
    pages = {path for path in (root / "usr/share/doc").rglob("*") if not path.is_dir()}
    ours = {path for path in pages if path.is_relative_to(root / "usr/share/doc/p2v-tui")}
    assert {path.name for path in pages - ours} == {"copyright"}
    assert not (root / "usr/share/man").exists()


def test_its_own_pages_and_completion_are_in_it(root: Path) -> None:
    assert (root / "usr/share/doc/p2v-tui/README.md").exists()
    assert (root / "usr/share/doc/p2v-tui/docs/live-image-boot.md").exists()
    assert (root / "usr/share/bash-completion/completions/p2v-tui").exists()


def test_graphics_sound_and_radio_are_left_out_of_the_kernel_modules(root: Path) -> None:
    (kernel,) = (root / "usr/lib/modules").glob("*/kernel")
    for name in ("drivers/gpu", "sound", "drivers/media", "drivers/net/wireless", "net/bluetooth"):
        # Keyboards on I2C (i2c-hid) need the core of the graphics in Debian 13's kernel. It drives no card.
        assert {path.name for path in (kernel / name).rglob("*.ko*")} <= {"drm.ko.xz"}, name
    for name in (
        "drivers/net/ethernet/intel/igb/igb.ko",
        "drivers/scsi/megaraid/megaraid_sas.ko",
        "drivers/md/dm-mod.ko",
    ):
        # Debian 13 compresses them.
        assert list(kernel.glob(f"{name}*")), name


def test_every_python_file_is_compiled_so_that_it_is_taken_as_it_is(live_image: LiveImage, root: Path) -> None:
    python = RELEASES[live_image.release].python
    sources = [
        *(root / "usr/lib/p2v-tui").rglob("*.py"),
        *(root / "usr/lib/python3/dist-packages").rglob("*.py"),
        *(root / f"usr/lib/python{python}").rglob("*.py"),
    ]
    assert len(sources) > 1000
    for source in sources:
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-{python.replace('.', '')}.pyc"
        # PEP 552: the flags after the magic number; 1 is "by hash, and not checked".
        assert compiled.read_bytes()[4:8] == b"\1\0\0\0", source


def test_nothing_in_it_is_a_secret_that_all_images_share(root: Path) -> None:
    assert not list((root / "etc/ssh").glob("ssh_host_*"))
    assert not (root / "etc/p2v-tui/identity").exists()
    assert (root / "etc/machine-id").read_bytes() == b""
    assert not (root / "var/lib/systemd/random-seed").exists()
    assert not list((root / "etc/nvme").glob("host*"))
    # "*" or "!" for everybody: no password is one.
    shadow = (root / "etc/shadow").read_text().splitlines()
    assert {line.split(":")[1] for line in shadow} <= {"*", "!", "!*"}


def test_owners_and_modes_do_not_come_from_the_building_machine(root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root unpacks owners")
    for name in ("etc/p2v-tui/image", "usr/bin/p2v-tui", "usr/lib/p2v-tui/p2v_tui/cli.py"):
        status = (root / name).stat()
        assert (status.st_uid, status.st_gid) == (0, 0), name
    assert (root / "usr/bin/p2v-tui").stat().st_mode & 0o7777 == 0o755
    assert (root / "root").stat().st_mode & 0o7777 == 0o700
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777


@as_root
def test_no_program_misses_a_library(root: Path) -> None:
    # Whatever ldd does not take for a program of this machine it passes over.
    search = "find /usr/bin /usr/sbin /usr/lib /usr/libexec -type f ! -path '*/modules/*' ! -name '*.py*' -size +1k"
    said = run_command(["chroot", root, "sh", "-c", f"{search} -exec ldd {{}} + 2>/dev/null || true"], timeout=300)
    assert "libc.so.6 => /lib" in said
    missed = set(re.findall(r"^\s+(\S+) => not found", said, re.MULTILINE))
    # A plugin finds those of its program where they are already loaded.
    assert missed - {path.name for path in (root / "usr/lib").rglob("*.so*")} == set()


@as_root
def test_the_program_starts_in_it(root: Path) -> None:
    assert run_command(["chroot", root, "p2v-tui", "--version"], timeout=60).startswith("p2v-tui ")
    assert "Example:" in run_command(["chroot", root, "p2v-tui", "--help", "p2v.oo"], timeout=60)
    # Each module, so that a dependency that is missing or too old is found.
    every = (
        "import pkgutil, p2v_tui; [__import__(m.name) for m in pkgutil.walk_packages(p2v_tui.__path__, 'p2v_tui.')]"
    )
    run_command(["chroot", root, "python3", "-W", "error", "-c", every], timeout=60)


def test_no_rule_of_udev_activates_a_firmware_raid(root: Path) -> None:
    rules = (root / "usr/lib/udev/rules.d").glob("*.rules")
    assert not [path.name for path in rules if "dmraid-activate" in path.read_text(errors="replace")]


def test_the_initramfs_has_no_module_that_assembles_or_mounts_a_fixed_disk(live_image: LiveImage) -> None:
    listed = run_command(["lsinitramfs", live_image.initramfs], timeout=60)
    modules = {Path(line).name.partition(".ko")[0] for line in listed.splitlines() if ".ko" in line}
    assert {"squashfs", "overlay", "isofs", "usb-storage", "sr_mod", "ahci"} <= modules
    assert not {"md-mod", "raid1", "dm-mod", "ext4", "xfs", "btrfs", "vfat"} & modules


def test_the_same_packages_and_sources_make_the_same_bytes(live_image: LiveImage, tmp_path: Path) -> None:
    # Debian's part is the slow one, and taken over: it is built anew where the performance is measured.
    (tmp_path / "cache").mkdir()
    for place in cache.default_directory().glob("live-image-debian-*/"):
        (tmp_path / "cache" / place.name).symlink_to(place)
    done = run_build(
        *("--release", live_image.release, "-o", tmp_path / "again.iso", "--pxe", tmp_path / "again"),
        *("--cache", tmp_path / "cache"),
    )
    if done.returncode != 0:
        raise LabFailure(done.stderr)
    assert checksum(tmp_path / "again.iso") == checksum(live_image.iso)
    for path in sorted(live_image.network.rglob("*")):
        if path.is_file():
            assert checksum(tmp_path / "again" / path.relative_to(live_image.network)) == checksum(path), path


def test_an_injected_identity_is_in_a_layer_that_only_root_can_read(release: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    done = run_build("--release", release, "-o", tmp_path / "key.iso", "--inject-ssh-identity", key)
    assert done.returncode == 0, done.stderr
    run_command(
        ["xorriso", "-osirrox", "on", "-indev", tmp_path / "key.iso", "-extract", "/live", tmp_path / "live"],
        timeout=120,
    )
    listed = run_command(["unsquashfs", "-lln", tmp_path / "live/identity.squashfs"], timeout=60)
    assert re.search(r"^-rw------- 0/0 +\d+ .* squashfs-root/etc/p2v-tui/identity$", listed, re.MULTILINE)
    # Nobody else on the building machine can read it there, and it is not kept.
    assert (tmp_path / "key.iso").stat().st_mode & 0o077 == 0
    kept = [path for path in cache.default_directory().glob("live-image-*/**/*") if path.name.startswith("identity")]
    assert kept == []


def test_the_documentation_names_each_list_of_what_is_left_out() -> None:
    text = (lists.PROJECT / "docs/live-image.md").read_text()
    for name in ("packages.txt", "modules.txt", "files.txt", "firmware.txt"):
        assert name in text


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
