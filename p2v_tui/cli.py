"""The command line: its options, the settings from it or from /proc/cmdline, and the choice of the front end."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import setproctitle

from p2v_tui import __version__, cmdline, config_file, keyboard, manual
from p2v_tui.config import Settings
from p2v_tui.errors import P2VError, SettingsError

if TYPE_CHECKING:
    from p2v_tui.front.event_printer import EventPrinter

DESCRIPTION = "Convert this physical machine to a virtual one, by virt-v2v on a conversion server."
EXIT_CODES = """exit codes:
  0  the conversion succeeded (or a dry run found that it can start)
  1  an error of p2v-tui itself
  2  wrong settings: an option, a p2v.* setting, a disk that is not there
  3  no connection to the conversion server, or it does not let us in
  4  the conversion cannot start: something that it needs is missing there or here
  5  the conversion failed
  6  cancelled
  7  the command of p2v.pre or p2v.post failed
  8  told to end while the conversion runs: start p2v-tui again to continue it
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code. Wrong options end it with 2, as argparse does."""
    options = None
    try:
        options = _parse(arguments)
        # It repeats the arguments, and child processes would inherit it.
        os.environ.pop("SUDO_COMMAND", None)
        return _run(options)
    except P2VError as error:
        print(f"p2v-tui: {error.headline}", file=sys.stderr)
        if error.advice:
            print(f"p2v-tui: {error.advice}", file=sys.stderr)
        if isinstance(error, SettingsError) and error.setting:
            name = manual.names(manual.find_setting(error.setting))[-1]
            print(f"p2v-tui: `p2v-tui --help {name}` explains this setting.", file=sys.stderr)
        if options is not None and options.json:
            _printer(options).error(error)
        return error.exit_code


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Raises SettingsError for settings that stand on their own; other wrong options end the program."""
    reader = parser()
    options, unknown = reader.parse_known_args(arguments)
    if settings := [word for word in unknown if word.startswith("p2v.")]:
        raise SettingsError(
            f"{cmdline.hide_secrets(settings[0])} is not an option.",
            "Settings go into one text, --cmdline='p2v.server=HOST p2v.port=22', or into a file, --config FILE.",
        )
    if unknown:
        reader.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def _run(options: argparse.Namespace) -> int:
    from_proc = options.cmdline is None and options.config is None
    text = cmdline.read_proc_cmdline() if from_proc else options.cmdline or ""
    if options.cmdline is not None:
        # Hide them from ps and /proc.
        setproctitle.setproctitle(f"p2v-tui --cmdline={cmdline.hide_secrets(text)}")
    words = cmdline.split_words(text)
    try:
        if options.config is not None:
            # If both give a setting, the command line's comes first and holds.
            words += config_file.read_words(options.config)
        parsed = cmdline.parse_words(words)
        image = _test_disk(options.test_disk, parsed.settings)
        _check_accepted(parsed.settings)
    except SettingsError:
        # p2v.fail runs after every failure, also after this one.
        if command := cmdline.find_value_in(words, "p2v.fail"):
            _run_fail_command(command, options)
        raise
    for warning in parsed.warnings:
        print(f"p2v-tui: warning: {warning}", file=sys.stderr)
    dump = parsed.settings.dump_config_and_exit
    if (options.dry_run or parsed.settings.dry_run) and parsed.settings.server is None and not options.interactive:
        raise SettingsError("A dry run needs a conversion server.", "Give p2v.server=HOST.", setting="remote.server")
    interactive = options.interactive or parsed.settings.interactive or parsed.settings.server is None
    if interactive and options.json:
        raise SettingsError(
            "--json is for a conversion without questions, and this one shows the screens.",
            "Give p2v.server=HOST, and neither --interactive nor p2v.interactive.",
        )
    if interactive and not dump:
        # Each front end is imported when it is chosen: unattended mode does not need the screens, which have to
        # appear half a second after the start.
        from p2v_tui import consoles  # noqa: PLC0415

        warnings = (*parsed.warnings, *(keyboard.complaint_at_boot() if options.iso else ()))
        return consoles.run_interactive(parsed.settings, image, options.iso, warnings)
    from p2v_tui import unattended  # noqa: PLC0415

    if dump:
        unattended.print_dump(parsed.settings, image)
        return 0
    return unattended.run(
        parsed.settings,
        unattended.Options(
            from_proc_cmdline=from_proc,
            image=image,
            iso=options.iso,
            colours=options.colours,
            json=options.json,
            dry_run=options.dry_run,
            verbose=options.verbose,
        ),
    )


def _check_accepted(settings: Settings) -> None:
    """Raises SettingsError if p2v.accept_warnings names an unknown check."""
    if settings.accept_warnings.keys:
        # The session knows the checks, but is too large to load at every start.
        from p2v_tui.session.preflight.preflight import check_keys  # noqa: PLC0415

        check_keys(settings.accept_warnings)


def _run_fail_command(command: str, options: argparse.Namespace) -> None:
    # Loaded only when it is needed, here and below: with the screens it would delay them.
    from p2v_tui import unattended  # noqa: PLC0415

    unattended.run_fail_command(command, _printer(options))


def _printer(options: argparse.Namespace) -> EventPrinter:
    from p2v_tui import unattended  # noqa: PLC0415

    return unattended.printer(sys.stdout, json=options.json, colours=options.colours, verbose=options.verbose)


def _test_disk(path: Path | None, settings: Settings) -> Path | None:
    if path is not None and not path.is_absolute():
        raise SettingsError(
            f"--test-disk={path} is not an absolute path.",
            "Give the absolute path of a disk image.",
            setting="disks",
        )
    if path is not None and settings.disks is not None:
        raise SettingsError(
            "--test-disk and p2v.disks both say what to convert.", "Give one of them.", setting="disks"
        )
    return path


class _Help(argparse.Action):
    """`--help` shows the options; `--help SETTING` that setting, and raises SettingsError for an unknown one."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        _option: str | None = None,
    ) -> None:
        if isinstance(values, str):
            print(manual.describe(manual.find_setting(values)), end="")
        else:
            parser.print_help()
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The options. The man page and the shell completion are made from them, too."""
    parser = argparse.ArgumentParser(
        prog="p2v-tui",
        description=DESCRIPTION,
        epilog=f"{EXIT_CODES}\nThe manual is p2v-tui(1). README.md and docs/ are in {manual.documentation()}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument(
        "-h",
        "--help",
        action=_Help,
        nargs="?",
        metavar="SETTING",
        help="show this help, or one p2v.* setting: its values, its default and an example",
    )
    parser.add_argument(
        "--cmdline",
        metavar="CMDLINE",
        help="take the p2v.* settings from this text and not from /proc/cmdline; `--help SETTING` explains one",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="take p2v.* settings from this file, or from standard input for -, and not from /proc/cmdline; only its "
        "owner may be able to read it. The place for a password: --cmdline shows it to every user",
    )
    parser.add_argument("--iso", action="store_true", help="say that this machine runs from the live image")
    parser.add_argument(
        "--interactive", action="store_true", help="show the screens, filled in, even if p2v.server is given"
    )
    parser.add_argument(
        "--test-disk", type=Path, metavar="/DISK.IMG", help="convert this disk image and none of the machine's disks"
    )
    parser.add_argument(
        "--colours",
        "--colors",
        "--colour",
        "--color",
        action="store_true",
        help="colour the output even if it is not a terminal",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print what happens as JSON, an object on each line, for another program; not with the screens",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="make every check, say whether the conversion can start, show physical.xml and the commands; change "
        "nothing on either side",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="full debugging of virt-v2v, in its log and on the console"
    )
    parser.add_argument("-V", "--version", action="version", version=f"p2v-tui {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
