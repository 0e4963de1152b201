"""A form like the first screen and a bar with a log like the third, in newt, to compare with.

    /usr/bin/python3 bench/newt_form.py CONTROL

needs Debian's python3-newt. CONTROL is a named pipe as for scripted_screens.py: `switch`, `line`, `tick`.
"""

import sys
from pathlib import Path
from typing import Any

import snack

LABELS = ("Conversion server", "SSH port", "User name", "Password", "SSH identity URL")
LINE = "virt-v2v: line {} of the output: copying /boot/vmlinuz-6.1.0-{}-amd64"


def main(control: str) -> None:
    screen = snack.SnackScreen()
    with Path(control).open() as commands:
        show_form(screen, commands)
        show_log(screen, commands)
    screen.finish()


def show_form(screen: Any, commands: Any) -> None:
    """Until it is told to switch."""
    screen.pushHelpLine("F1 help  F2 shell  Tab, arrows: move")
    grid = snack.GridForm(screen, "Conversion server (1 of 3)", 1, 4)
    entries = snack.Grid(2, len(LABELS))
    for row, label in enumerate(LABELS):
        entries.setField(snack.Label(label + ":"), 0, row, anchorRight=1)
        entries.setField(snack.Entry(40, password=label == "Password"), 1, row, padding=(1, 0, 0, 0))
    grid.add(entries, 0, 0)
    grid.add(snack.Checkbox("Use sudo when running virt-v2v"), 0, 1)
    grid.add(snack.ButtonBar(screen, ["Test connection", "Next"]), 0, 2)
    grid.add(snack.Label("Press Test connection when the fields are filled in."), 0, 3)
    grid.draw()
    grid.form.watchFile(commands, 1)
    while grid.form.run() is not commands or commands.readline().strip() != "switch":
        pass
    screen.popWindow()


def show_log(screen: Any, commands: Any) -> None:
    """Until nobody writes commands any more."""
    grid = snack.GridForm(screen, "Conversion (3 of 3)", 1, 3)
    bar, log = snack.Scale(60, 100), snack.Textbox(70, 10, "", scroll=0, wrap=0)
    for row, widget in enumerate((bar, log, snack.Button("Cancel"))):
        grid.add(widget, 0, row)
    grid.draw()
    grid.form.watchFile(commands, 1)
    lines: list[str] = []
    percent = 0
    while True:
        screen.refresh()
        if grid.form.run() is not commands:
            continue
        command = commands.readline()
        if command.startswith("line"):
            lines.append(LINE.format(len(lines), len(lines) * 7))
            log.setText("\n".join(lines[-10:]))
        elif command.startswith("tick"):
            percent += 1
            bar.set(percent)
        elif not command:
            return


main(sys.argv[1])
