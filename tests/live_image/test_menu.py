"""The boot menus: for GRUB, pxelinux and iPXE."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from imagebuild.errors import BuildError
from imagebuild.lists import PROJECT, keyboards
from imagebuild.menu import Menu, kernel_words

from tests.lab.commands import run_command

WORDS = "boot=live quiet"
MENU = Menu("0.1.0", WORDS, 'p2v.post="systemctl reboot" p2v.name=it\'s$1', memory_test=True)


def for_grub(menu: Menu = MENU) -> str:
    return menu.for_grub("/live", "/live/initrd.img", kernel_size=8 << 20, initramfs_size=21 << 19)


def test_grub_accepts_the_menu_as_a_script(tmp_path: Path) -> None:
    script = tmp_path / "grub.cfg"
    script.write_text(for_grub())
    run_command(["grub-script-check", script], timeout=20)


def test_no_placeholder_is_left_in_any_menu() -> None:
    for text in (for_grub(), MENU.for_pxelinux(), MENU.for_ipxe()):
        assert not re.search(r"@[A-Z_]+@", text)


def test_the_first_entry_starts_by_itself_after_ten_seconds() -> None:
    text = for_grub()
    assert "set default=0\nset timeout=10\n" in text
    first = text[text.index("menuentry") :]
    assert "convert this machine" in first.splitlines()[0]
    assert first.splitlines()[1].split() == ["start", "console=tty0", "console=ttyS0,115200n8"]


def test_there_is_an_entry_for_each_serial_line_and_speed() -> None:
    text = for_grub()
    for console in ("ttyS0,115200n8", "ttyS0,9600n8", "ttyS1,115200n8", "ttyS1,9600n8"):
        assert f"start console=tty0 console={console}\n" in text


def test_there_is_an_entry_for_each_common_keyboard() -> None:
    text = for_grub()
    assert 'submenu "Keyboard layout ..." --hotkey=k {\n' in text
    assert (
        'menuentry "German: p2v.keymap=de" {\n        start console=tty0 console=ttyS0,115200n8 p2v.keymap=de\n'
        in text
    )
    assert text.count("start console=tty0 console=ttyS0,115200n8 p2v.keymap=") == len(keyboards()) > 20


def test_the_page_about_the_image_at_work_names_each_common_keyboard() -> None:
    page = (PROJECT / "docs/live-image-boot.md").read_text()
    table = page.partition("| `p2v.keymap=` | keyboard |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if "`" in line]
    named = {
        (name.strip(" `"), words.strip())
        for names, keyboards_of in rows
        for name, words in zip(names.split(","), keyboards_of.split(","), strict=True)
    }
    assert named == set(keyboards())


def test_pxelinux_says_how_an_entry_gets_a_keyboard_layout() -> None:
    assert "MENU TABMSG Tab edits the words of an entry. p2v.keymap=de: a German keyboard\n" in MENU.for_pxelinux()


def test_the_memory_test_is_not_offered_where_secure_boot_would_refuse_it() -> None:
    text = for_grub()
    assert text.index('elif [ "$lockdown" != y ]; then') < text.index("memtest.efi")
    assert "Memory test" not in for_grub(Menu("0.1.0", WORDS))


def test_grub_gets_a_word_with_blanks_as_one_word_and_puts_the_quotes_back_itself() -> None:
    text = for_grub()
    assert "linux /live/vmlinuz boot=live quiet \"$@\" 'p2v.post=systemctl reboot' 'p2v.name=it'\\''s$1'\n" in text


def test_a_bios_is_asked_for_its_disks_which_only_the_kernels_16_bit_beginning_does() -> None:
    text = for_grub()
    begun = text[text.index("function start {") : text.index("\n}\n")]
    bios, _, others = begun.partition("    else\n")
    assert 'if [ "$grub_platform" = pc ]; then' in bios
    assert "linux16 /live/vmlinuz boot=live" in bios and "initrd16 /live/initrd.img\n" in bios
    assert "linux /live/vmlinuz boot=live" in others and "initrd /live/initrd.img\n" in others


def test_each_part_says_how_large_it_is_before_it_is_loaded() -> None:
    said = re.findall(r'echo "(.*)"', for_grub())
    assert said == [
        "Loading the kernel, 8.0 MiB ...",
        *["Loading the live system, 10.5 MiB ..."] * 2,
        "Starting the kernel ...",
    ]


def test_the_other_loaders_get_the_words_as_they_were_written() -> None:
    for text in (MENU.for_pxelinux(), MENU.for_ipxe()):
        assert 'p2v.post="systemctl reboot" p2v.name=it\'s$1\n' in text


def test_the_words_of_a_kernel_command_line_may_have_blanks_in_quotes() -> None:
    assert kernel_words('a  "b c"  d="e f" ') == ["a", '"b c"', 'd="e f"']


@pytest.mark.parametrize("text", ['p2v.post="systemctl', "a\nmenuentry", "a\tb"])
def test_kernel_arguments_that_no_loader_can_pass_on_are_refused(text: str) -> None:
    with pytest.raises(BuildError, match="unprintable"):
        kernel_words(text)
