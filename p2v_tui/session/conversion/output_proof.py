"""Checks after virt-v2v's end what is at the output: files in a directory, a libvirt domain.

Only what the login user can see; a place that cannot be reached or does not answer is skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2v_tui.errors import P2VError
from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.preflight.server_facts import asked_libvirt
from p2v_tui.session.preflight.survey_command import LIMIT, Libvirt, ask_libvirt
from p2v_tui.session.remote.commands import quote
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.words.terminal_text import plain
from p2v_tui.session.words.watch import Watch

# -oo options with which the files get other names than ours.
_RENAMING = ("json-disks-pattern", "disk")
# The last line of a complete answer.
_END = "end"
ASK_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Found:
    """What was found at the output, in words for a list. wrong: what is missing or incomplete."""

    present: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


def look_at_output(control: ControlConnection, watch: Watch, plan: Plan) -> Found | None:
    """None if the output cannot be checked; a connection that is lost by now does not hurt the conversion."""
    command = look_command(plan, sudo=control.sudo)
    return parse_answer(plan, ask(control, watch, command)) if command else None


def ask(control: ControlConnection, watch: Watch, command: str) -> str:
    """What the command prints there; empty if the server cannot be asked, which does no harm by now."""
    try:
        return control.shell(watch).run(command, timeout=ASK_SECONDS, cancellable=False).text
    except P2VError:
        return ""


def look_command(plan: Plan, *, sudo: bool) -> str | None:
    """The command; None if the output cannot be checked from there. sudo: virt-v2v ran under it."""
    output = plan.output
    if output.mode.is_libvirt:
        libvirt = asked_libvirt(plan, sudo=sudo)
        return _ask_domain(libvirt, sudo=sudo) if libvirt else None
    files = _files(plan)
    if not files or not output.storage:
        return None
    look = """cd "$1" || exit; shift
for file; do
  if [ -s "$file" ]; then echo there; elif [ -e "$file" ]; then echo empty; else echo missing; fi
done
echo end"""
    return f"{LIMIT}\n$limit {quote('sh', '-c', look, 'sh', output.storage, *files)} 2>/dev/null"


def parse_answer(plan: Plan, answer: str) -> Found | None:
    """Parses what the command printed; None if that is incomplete."""
    words = [plain(line).strip() for line in answer.splitlines()]
    if not words or words[-1] != _END:
        return None
    return _domain(plan, words[:-1]) if plan.output.mode.is_libvirt else _in_directory(plan, words[:-1])


def _files(plan: Plan) -> tuple[str, ...]:
    if any(option.partition("=")[0] in _RENAMING for option in plan.output.misc):
        return ()
    return plan.output.mode.files(plan.guest.name, len(plan.disks))


def _in_directory(plan: Plan, words: list[str]) -> Found | None:
    files = _files(plan)
    if len(words) != len(files):
        return None
    at = f"{(plan.output.storage or '').rstrip('/')}/"
    states = list(zip(files, words, strict=True))
    return Found(
        tuple(f"{at}{name}" for name, state in states if state == "there"),
        tuple(f"{at}{name} is {state}" for name, state in states if state in {"missing", "empty"}),
    )


def _ask_domain(libvirt: Libvirt, *, sudo: bool) -> str:
    """Prints `domain no`, or `domain yes` and the number of its disks; nothing if libvirt does not answer.

    libvirt would take a name of digits alone for a domain's number.
    """
    name = quote(libvirt.domain)
    return f"""{LIMIT}
root={"yes" if sudo else "no"}; [ "$(id -u)" != 0 ] || root=yes
{ask_libvirt(libvirt.connection)}
if domains=$(ask_libvirt list --all --name); then
  if printf '%s\\n' "$domains" | grep -Fxq -e {name}; then
    echo domain yes
    case {name} in *[!0-9]*) ;; *) echo end; exit ;; esac
    disks=$(ask_libvirt domblklist --details --domain {name}) &&
      echo disks "$(printf '%s\\n' "$disks" | grep -c '^ *[a-z]* *disk ')"
  else
    echo domain no
  fi
  echo end
fi"""


def _domain(plan: Plan, words: list[str]) -> Found | None:
    answers = dict(word.partition(" ")[::2] for word in words)
    name, disks = plan.guest.name, answers.get("disks", "")
    match answers.get("domain"):
        case "no":
            return Found(wrong=(f"libvirt has no domain {name}",))
        case "yes" if disks.isdigit() and int(disks[:9]) < len(plan.disks):
            return Found((f"the domain {name}",), (f"the domain {name} has {disks} of {len(plan.disks)} disks",))
        case "yes":
            return Found((f"the domain {name}",))
    return None
