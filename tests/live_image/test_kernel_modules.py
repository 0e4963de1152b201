"""Which kernel modules stay in the image."""

from __future__ import annotations

from pathlib import Path

import pytest
from imagebuild.inside import kernel_modules
from imagebuild.lists import HERE

MODULES_DEP = """\
kernel/drivers/net/ethernet/sfc/sfc.ko: kernel/drivers/mtd/mtd.ko kernel/drivers/ptp/ptp.ko
kernel/drivers/net/wireless/ath/ath.ko:
kernel/drivers/ptp/ptp.ko: kernel/drivers/pps/pps_core.ko
kernel/drivers/pps/pps_core.ko:
kernel/drivers/mtd/mtd.ko:
kernel/sound/soundcore.ko.xz:
"""


def kept(*patterns: str) -> set[str]:
    dependencies = kernel_modules.dependencies_in(MODULES_DEP)
    return kernel_modules.with_dependencies(kernel_modules.chosen(dependencies, patterns), dependencies)


def test_a_pattern_reaches_into_directories_and_a_later_one_takes_out_again() -> None:
    assert kept("drivers/net/*", "!drivers/net/ethernet/*") == {"drivers/net/wireless/ath/ath.ko"}


def test_what_a_kept_module_needs_stays_although_no_pattern_names_it() -> None:
    assert kept("drivers/net/ethernet/*") == {
        "drivers/net/ethernet/sfc/sfc.ko",
        "drivers/mtd/mtd.ko",
        "drivers/ptp/ptp.ko",
        "drivers/pps/pps_core.ko",
    }


def test_a_compressed_module_is_named_without_its_endings() -> None:
    assert kept("sound/soundcore") == {"sound/soundcore.ko.xz"}


def test_no_pattern_means_no_module() -> None:
    assert kept() == set()


@pytest.mark.parametrize("section", ["image", "initramfs"])
def test_the_lists_leave_out_what_shows_plays_and_films(section: str) -> None:
    patterns = kernel_modules.sections((HERE / "modules.txt").read_text())[section]
    unwanted = ["drivers/gpu/drm/i915/i915.ko", "sound/core/snd.ko", "drivers/media/rc/rc-core.ko", "fs/nfs/nfs.ko"]
    assert kernel_modules.chosen(unwanted, patterns) == set()


def test_the_initramfs_can_neither_assemble_an_array_nor_mount_a_fixed_disk() -> None:
    patterns = kernel_modules.sections((HERE / "modules.txt").read_text())["initramfs"]
    risky = ["drivers/md/md-mod.ko", "drivers/md/dm-mod.ko", "fs/ext4/ext4.ko", "fs/xfs/xfs.ko", "fs/btrfs/btrfs.ko"]
    assert kernel_modules.chosen(risky, patterns) == set()


def test_the_image_can_ask_a_bios_for_its_disks() -> None:
    patterns = kernel_modules.sections((HERE / "modules.txt").read_text())["image"]
    assert kernel_modules.chosen(["drivers/firmware/edd.ko"], patterns) == {"drivers/firmware/edd.ko"}


def test_comments_and_sections_of_the_list_are_told_apart() -> None:
    text = "# for all\n[image]\nfs/*  # all of them\n\n[initramfs]\n!fs/nfs/*\n"
    assert kernel_modules.sections(text) == {"image": ("fs/*",), "initramfs": ("!fs/nfs/*",)}


def test_the_kernel_with_modules_is_found(tmp_path: Path) -> None:
    (tmp_path / "lib/modules/6.1.0-1-amd64/kernel").mkdir(parents=True)
    (tmp_path / "lib/modules/6.1.0-1-amd64.complete").mkdir()
    assert kernel_modules.versions(tmp_path) == ["6.1.0-1-amd64"]
