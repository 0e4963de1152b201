"""Judges the directories that virt-v2v writes to: do they exist, and may its user write there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.preflight.server_facts import Directory, Place, ServerFacts
from p2v_tui.session.remote.commands import quote
from p2v_tui.session.words.checks import Check, Subject, Verdict

STORAGE = Subject(
    "output directory",
    "output",
    "In the modes that take a directory: whether -os is one and virt-v2v's user can write to it. For libvirt: the "
    "pool's directory.",
    {Verdict.REFUSED: "It does not exist, is not a directory or cannot be reached; or it cannot be written to."},
    "Another directory in `p2v.os`; or make one for virt-v2v's user, as root: `install -d -o USER /srv/guests`.",
    setting="output.storage",
)
TEMPORARY = Subject(
    "temporary directory",
    "temporary",
    "Whether `$TMPDIR` and the directory of the overlay are directories that virt-v2v's user can write to.",
    {Verdict.REFUSED: "One is not: virt-v2v would fail at once, or when it makes its overlay."},
    "Create the directory there, or remove the variable from the login user's environment.",
)
SUBJECTS: Final = (STORAGE, TEMPORARY)

# System directories: no advice changes them or makes a directory below them.
_SYSTEM: Final = (
    "/etc",
    "/usr",
    "/boot",
    "/dev",
    "/proc",
    "/sys",
    "/run",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/root",
)
_TOP: Final = ("/", "/var", "/var/lib", "/opt", "/home", "/srv", "/mnt", "/media", "/tmp", "/var/tmp")
_ELSEWHERE: Final = "/srv/guests"


def judge_directories(facts: ServerFacts, plan: Plan | None) -> Iterator[Check]:
    """plan: None while nothing is chosen yet; then only virt-v2v's own directories are judged."""
    if plan is not None and (plan.output.mode.takes_directory or facts.pool == "dir"):
        yield from _storage(facts, plan)
    yield from _temporary(facts)


def _storage(facts: ServerFacts, plan: Plan) -> Iterator[Check]:
    what, path = facts.places.get(Place.STORAGE, (None, ""))
    if what is None:
        return
    pool = plan.output.pool if plan.output.mode.is_libvirt else None
    named = f"{path}, the directory of the pool {pool}," if pool else f"{path} (p2v.os)"
    match what:
        case Directory.THERE:
            yield STORAGE.passed(f"{path} is there.")
        case Directory.MISSING:
            yield STORAGE.refused(
                f"{named} does not exist on the conversion server.",
                f"Build the pool: {quote('virsh', 'pool-build', pool)}." if pool else _make(path, facts),
            )
        case Directory.NO_DIRECTORY:
            yield STORAGE.refused(
                f"{named} is not a directory on the conversion server.",
                "Name a directory there; virt-v2v chooses the names of the files.",
            )
        case Directory.READ_ONLY_FILE_SYSTEM:
            yield STORAGE.refused(
                f"{named} is on a file system of the conversion server that is mounted read-only.",
                f"Name another directory; or look with {quote('findmnt', '--target', path)} why it is read-only.",
            )
        case Directory.READ_ONLY:
            yield STORAGE.refused(
                f"{_user(facts)} may not write to {named} on the conversion server.",
                "Run virt-v2v with sudo: p2v.sudo. Or name another pool." if pool else _instead(path, facts),
            )
        case Directory.UNREACHABLE:
            yield STORAGE.refused(
                f"{_user(facts)} may not look into a directory above {named} on the conversion server.",
                "Name another directory, or run virt-v2v with sudo: p2v.sudo.",
            )


def _temporary(facts: ServerFacts) -> Iterator[Check]:
    wrong = {
        Directory.MISSING: "does not exist",
        Directory.NO_DIRECTORY: "is not a directory",
        Directory.READ_ONLY: "may not be written to by virt-v2v's user",
        Directory.READ_ONLY_FILE_SYSTEM: "is on a read-only file system",
        Directory.UNREACHABLE: "is out of reach for virt-v2v's user",
    }
    looked_at = [facts.places[place] for place in (Place.TEMPORARY, Place.OVERLAY) if place in facts.places]
    for what, path in looked_at:
        if what in wrong:
            yield TEMPORARY.refused(
                f"{path}, where virt-v2v is to put its temporary files on the conversion server, {wrong[what]}.",
                "Look at TMPDIR, VIRT_V2V_TMPDIR and LIBGUESTFS_CACHEDIR in the environment there: give a directory "
                "that can be written to, or unset them.",
            )
            return
    if looked_at:
        yield TEMPORARY.passed(f"virt-v2v can write to {', '.join(dict.fromkeys(path for _, path in looked_at))}.")


def _user(facts: ServerFacts) -> str:
    return "root" if facts.as_root else f"The user {facts.user}" if facts.user else "virt-v2v's user"


def _is_systems(path: str) -> bool:
    return path.rstrip("/") in ("", *_TOP) or any(f"{path}/".startswith(f"{top}/") for top in _SYSTEM)


def _make(path: str, facts: ServerFacts) -> str:
    """How to make a directory that is missing."""
    if facts.as_root:
        return f"Make it there: {quote('mkdir', '-p', path)}."
    if _is_systems(path):
        return f"Name another directory, as in p2v.os={_ELSEWHERE}."
    return f"Make it there as root: {quote('install', '-d', '-o', facts.user or 'USER', path)}."


def _instead(path: str, facts: ServerFacts) -> str:
    """What to do if the user may not write. Never advises to take the directory from its owner."""
    own = _ELSEWHERE if _is_systems(path) else f"{path.rstrip('/')}/p2v"
    if facts.as_root:
        return f"Name another directory, as in p2v.os={_ELSEWHERE}."
    made, setting = quote("install", "-d", "-o", facts.user or "USER", own), quote(f"p2v.os={own}")
    return (
        f"Name another directory. As root, this makes one there: {made}; then {setting}. Or run virt-v2v with sudo: "
        "p2v.sudo."
    )
