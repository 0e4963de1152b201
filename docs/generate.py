"""Writes the parts of the documentation that are made from the code.

docs/settings.md, docs/exit-codes.md, docs/preflight.md and docs/messages.txt are made whole, and so is all in share/:
the man pages (man_pages.py) and the shells' completion (completion.py), in the places that they have below /usr.
In the other pages the pictures of the screens and of the console's lines are: each stands behind a line
`<!-- picture: TEST/NAME -->` and is the snapshot of that name, which a test compares with what the program shows.
`python docs/generate.py` writes them; with `--check` it changes nothing and fails when one is stale.
New pictures: `pytest tests/screens --snapshot-update`, then this.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import completion
import man_pages
import messages

from p2v_tui import cli
from p2v_tui.config import SETTINGS
from p2v_tui.session.preflight.preflight import SUBJECTS
from p2v_tui.session.words.checks import Subject, Verdict
from p2v_tui.setting import Setting

DOCS = Path(__file__).resolve().parent
SNAPSHOTS = DOCS.parent / "tests" / "snapshots"

SETTINGS_HEAD = """# Settings

Settings are words on the kernel command line, in the file of `--config`, or in `--cmdline`. The names are virt-p2v's.
Those marked *new* are p2v-tui's own. Where two names stand together, both mean the same.

- If a setting is given twice, the first one counts. A setting marked *each adds one* may be given several times.
- Put a value with spaces in double quotes: `p2v.post="systemctl poweroff"` or `"p2v.post=systemctl poweroff"`. A
  value cannot contain a double quote.
- A yes-or-no setting needs no value: `p2v.sudo` means `p2v.sudo=true`.
- An empty value (`p2v.of=`), as templates often leave one, counts as not given. Exceptions: for a list it
  means "none" (`p2v.interfaces=`), for a command "run nothing" (`p2v.post=`), for a yes-or-no setting "yes".
  `p2v.hostkey=` without a value is an error, so that no server is trusted by mistake.
- A word that starts with `p2v.` and is not a setting is ignored. A warning names a
  setting that looks like it, if there is one.

This page is made from `p2v_tui/config.py` by `python docs/generate.py`.

| setting | value | default | what it does |
|---|---|---|---|
"""


def settings_page() -> str:
    return SETTINGS_HEAD + "".join(f"| {' | '.join(map(_cell, _row(setting)))} |\n" for setting in SETTINGS)


def _row(setting: Setting) -> tuple[str, str, str, str]:
    names = " ".join(f"`p2v.{name}`" for name in (setting.name, *setting.aliases))
    marks = [*([] if setting.peer else ["*new*"]), *(["*each adds one*"] if setting.adds_up else [])]
    return " ".join([names, *marks]), setting.kind.valid, _default(setting), " ".join(setting.paragraphs)


def _default(setting: Setting) -> str:
    plain = setting.default_words is not None or setting.default in (None, ())
    return setting.default_text if plain else f"`{setting.default_text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def exit_codes_page() -> str:
    return f"# Exit codes\n\nMade from `p2v_tui/cli.py` by `python docs/generate.py`.\n\n```\n{cli.EXIT_CODES}```\n"


PREFLIGHT_HEAD = """# Checks before a conversion

A conversion takes hours. So p2v-tui first looks for everything that could end it. The connection test checks the
conversion server. The rest is checked when you start the conversion, before virt-v2v runs. The checks change nothing,
on either machine.

Each check has a verdict:

| verdict | what it means |
|---|---|
| passed | nothing speaks against it |
| noted | good to know; nothing to decide |
| warning | probably loses the conversion or the guest; accept it on the screen or with `p2v.accept_warnings` |
| refused | it cannot work; nothing starts |

`p2v.accept_warnings=space,clock` accepts the warnings of these two checks. The name to use stands in brackets behind
the check. Without a value the setting accepts all warnings. When a warning stops a conversion, the message names what
to accept.

What p2v-tui cannot find out is not judged: the check is left out.

This page is made from `p2v_tui/session/*/*_checks.py` by `python docs/generate.py`.
"""


def preflight_page() -> str:
    parts = (f"\n## {heading}\n{''.join(map(_subject, part))}" for heading, part in SUBJECTS.items())
    return PREFLIGHT_HEAD + "".join(parts)


def _subject(subject: Subject) -> str:
    verdicts = "".join(f"- {verdict.value}: {when}\n" for verdict, when in subject.when.items())
    name = f"{subject.name} (`{subject.key}`)" if Verdict.WARNING in subject.when else subject.name
    return f"\n### {name}\n\n{subject.looked_at}\n\n{verdicts}\nWhat to do: {subject.remedy}\n"


def with_pictures(page: Path) -> str:
    """The page with its pictures as the screens are now. Raises FileNotFoundError for one that no test makes."""

    def picture(match: re.Match[str]) -> str:
        screen = (SNAPSHOTS / f"{match[1]}.txt").read_text().rstrip("\n")
        return f"<!-- picture: {match[1]} -->\n```\n{screen}\n```\n"

    return re.sub(r"<!-- picture: (\S+) -->\n(?:```\n.*?\n```\n)?", picture, page.read_text(), flags=re.DOTALL)


def pages() -> dict[Path, str]:
    """Every page with something made in it, and what it should hold."""
    illustrated = [
        page for page in (DOCS.parent / "README.md", *DOCS.glob("*.md")) if "<!-- picture:" in page.read_text()
    ]
    return {
        DOCS / "settings.md": settings_page(),
        DOCS / "exit-codes.md": exit_codes_page(),
        DOCS / "preflight.md": preflight_page(),
        DOCS / "messages.txt": messages.page(),
        **man_pages.pages(),
        **completion.pages(),
        **{page: with_pictures(page) for page in illustrated},
    }


def main() -> int:
    stale = {path: text for path, text in pages().items() if not path.exists() or path.read_text() != text}
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(DOCS.parent)} is stale: run python docs/generate.py")
        return 1 if stale else 0
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
