"""The layout of the machine's own keyboard: from the boot menu, and from the first screen."""

from __future__ import annotations

from imagebuild.lists import keyboards

from tests.lab.by_keyboard import move_to, press
from tests.lab.machine import CdDrive, Hardware, Machine
from tests.live_image.conftest import LiveImage

MENU_SECONDS = 120.0
BOOT_SECONDS = 400.0
STEP_SECONDS = 200.0


def test_the_key_beside_shift_types_as_the_layout_says(live_image: LiveImage) -> None:
    """qemu presses the key that has a `z` on an American keyboard, and a `y` on a German one."""
    with Machine(Hardware(cd_drives=[CdDrive(live_image.iso, boot=True)])) as machine:
        serial = machine.console
        serial.wait_for("Keyboard layout", MENU_SECONDS)
        serial.press("k")
        serial.wait_for("American: p2v.keymap=us", MENU_SECONDS)
        serial.press(*["Down"] * [name for name, _ in keyboards()].index("de"), "Enter")
        serial.wait_for(r">\s*Conversion server: \[", BOOT_SECONDS)
        machine.wait_for_vga_text("Conversion server (1 of 3)", STEP_SECONDS)
        machine.press_on_keyboard("z")
        machine.wait_for_vga_text("[y ", STEP_SECONDS)

        # Another one from the serial console, whose own keys stay as they are.
        press(serial, "Keyboard", timeout=STEP_SECONDS)
        shown = serial.wait_for(r"> ?Layout: \[de +\]", STEP_SECONDS)
        assert "You are at ttyS0" in shown and "German" in shown
        serial.press("End", "BSpace", "BSpace", "f", "r", "r", "Enter")
        serial.wait_for(r"Did you mean fr", STEP_SECONDS)
        serial.press("Enter")
        serial.wait_for(r"> ?Layout: \[frr +\]", STEP_SECONDS)
        serial.press("End", "BSpace", "Enter")
        serial.wait_for(r"now has the layout fr \(French\)", STEP_SECONDS)
        serial.press("Enter")
        move_to(serial, "Conversion server:", timeout=STEP_SECONDS)
        machine.press_on_keyboard("end", "q")
        machine.wait_for_vga_text("[ya ", STEP_SECONDS)
        serial.type("q")
        serial.wait_for(r"Conversion server: \[yaq ", STEP_SECONDS)
