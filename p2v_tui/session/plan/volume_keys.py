"""The keys of encrypted volumes: which volume each is for, whether it fits, and how virt-v2v gets it.

A key is tried without opening anything: nothing is mapped or mounted, and nothing is written. virt-v2v opens the
volumes itself, on the conversion server.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Final

from p2v_tui.errors import SettingsError
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.kinds import KeySource, Secret
from p2v_tui.programs import TOOL_SECONDS, complete
from p2v_tui.secrecy import without_secrets
from p2v_tui.session.plan.output_modes import disk_letters
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.fetch import FetchFailed, Persistence, Wanted, fetch, fetch_persistently
from p2v_tui.session.words.events import Report, Status
from p2v_tui.session.words.terminal_text import plain

SETTING: Final = "key"
MAX_SIZE: Final = 8 * 1024
# A LUKS slot takes two seconds on the machine that made it; a slow machine may have to try several.
TRY_SECONDS: Final = 120.0
# The exit code of cryptsetup(8) for a wrong passphrase.
_WRONG_PASSPHRASE: Final = 2
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
LUKS: Final = "LUKS"
BITLOCKER: Final = "BitLocker"
# By blkid's name for the content; then cryptsetup's --type for each.
_KINDS: Final = {"crypto_LUKS": LUKS, "BitLocker": BITLOCKER}
NODES: Final = (Path("/dev/mapper"), Path("/dev"))
_TYPES: Final = {LUKS: "luks", BITLOCKER: "bitlk"}


class WrongKey(SettingsError):
    """A key that cannot be used. volume: its name, if known."""

    def __init__(self, message: str, advice: str, volume: str | None = None) -> None:
        super().__init__(message, advice, setting=SETTING)
        self.volume = volume


@dataclass(frozen=True)
class EncryptedVolume:
    """An encrypted partition.

    name: the partition's (`sda2`). kind: LUKS or BITLOCKER. uuid: None if blkid knows none, as with BitLocker. id:
    what virt-v2v's --key calls it. disk: the device or image that it is on. start, size: its place there in bytes;
    start is None if unknown.
    """

    name: str
    kind: str
    uuid: str | None
    id: str
    disk: Path
    start: int | None
    size: int

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def is_called(self, text: str) -> bool:
        """Whether this text names it: its UUID in upper or lower case, its name, or a path to it."""
        if self.uuid and text.lower() == self.uuid.lower():
            return True
        names = {text, text.removeprefix("/dev/").removeprefix("mapper/").replace("!", "/")}
        if text.startswith("/dev/"):
            names.add(os.path.realpath(text).removeprefix("/dev/"))
        return self.name in names


@dataclass(frozen=True)
class AssignedKey:
    """A key that was not fetched yet. volume: None if no partition has its UUID, as with a logical volume."""

    source: KeySource
    volume: EncryptedVolume | None

    def __str__(self) -> str:
        return str(self.volume) if self.volume else f"the volume {self.source.volume}"


@dataclass(frozen=True)
class VolumeKey:
    """A key for virt-v2v. id: what its --key calls the volume. volume: in words.

    unchecked: why the key was not tried on the volume, a sentence; empty if it opens it.
    """

    id: str
    volume: str
    passphrase: Secret
    unchecked: str = ""


def find_encrypted(disks: Sequence[Disk]) -> tuple[EncryptedVolume, ...]:
    """The volumes for which virt-v2v needs a key. disks: those to convert, in the guest's order.

    virt-v2v looks at partitions and logical volumes (inspect_do_decrypt() in libguestfs-common's options/decrypt.c),
    so an encrypted whole disk is not among these.
    """
    found = [
        (position, disk, part)
        for position, disk in enumerate(disks)
        for part in disk.partitions
        if part.content and part.content.encrypted
    ]
    uuids = Counter(part.content.uuid for _, _, part in found if part.content)
    volumes = []
    for position, disk, part in found:
        assert part.content is not None
        uuid = part.content.uuid
        # virt-v2v never knows the UUID of a BitLocker volume. Two volumes with one UUID are copies of each other.
        by_uuid = uuid and uuids[uuid] == 1 and _KINDS[part.content.type] == LUKS
        volumes.append(
            EncryptedVolume(
                name=part.name,
                kind=_KINDS[part.content.type],
                uuid=uuid,
                id=uuid if uuid and by_uuid else f"/dev/sd{disk_letters(position)}{part.number}",
                disk=disk.device,
                start=part.start,
                size=part.size,
            )
        )
    return tuple(volumes)


def assign_keys(
    sources: Sequence[KeySource], disks: Sequence[Disk], others: Sequence[Disk] = ()
) -> tuple[AssignedKey, ...]:
    """Each key with its volume. disks: those to convert. others: disks whose volumes need no key.

    Raises WrongKey if a name is not that of an encrypted volume, and if a volume is named twice.
    """
    volumes = find_encrypted(disks)
    assigned: list[AssignedKey] = []
    for source in sources:
        meant = [volume for volume in volumes if volume.is_called(source.volume)]
        if len(meant) > 1:
            raise WrongKey(
                f"The volumes {' and '.join(volume.name for volume in meant)} have the same UUID {source.volume}.",
                "Give their names in p2v.key instead of the UUID.",
            )
        if meant and any(key.volume == meant[0] for key in assigned):
            raise WrongKey(f"{meant[0]} has two keys.", "Give p2v.key once for each volume.", meant[0].name)
        if meant:
            assigned.append(AssignedKey(source, meant[0]))
        elif any(volume.is_called(source.volume) for volume in find_encrypted(others)):
            continue
        elif _UUID.fullmatch(source.volume):
            assigned.append(AssignedKey(source, None))
        else:
            raise _no_such_volume(source.volume, volumes, disks)
    return tuple(assigned)


def _no_such_volume(name: str, volumes: Sequence[EncryptedVolume], disks: Sequence[Disk]) -> WrongKey:
    if any(disk.name == name.removeprefix("/dev/") and disk.content and disk.content.encrypted for disk in disks):
        return WrongKey(
            f"The disk {name} is encrypted as a whole; virt-v2v opens partitions and logical volumes only.",
            "Leave its p2v.key out: the disk is copied as it is.",
        )
    there = ", ".join(f"{volume}{f' ({volume.uuid})' if volume.uuid else ''}" for volume in volumes)
    return WrongKey(
        f"The encrypted volume {name} was not found on the disks to convert.",
        (f"There are: {there}." if there else "No volume on them is known to be encrypted.")
        + " A logical volume is named by its UUID.",
    )


def without_key(disks: Sequence[Disk], keys: Sequence[AssignedKey]) -> tuple[EncryptedVolume, ...]:
    """The encrypted volumes without a key. virt-v2v would ask for each, get no answer, and fail."""
    given = {key.volume.name for key in keys if key.volume}
    return tuple(volume for volume in find_encrypted(disks) if volume.name not in given)


def need_all_keys(disks: Sequence[Disk], keys: Sequence[AssignedKey]) -> None:
    """Raises WrongKey for the first volume without a key."""
    for volume in without_key(disks, keys):
        raise WrongKey(
            f"{volume} is encrypted, and no key was given for it.",
            "Give its key, or leave its disk out: virt-v2v needs the key.",
            volume.name,
        )


def get_keys(
    keys: Sequence[AssignedKey], report: Report, persistence: Persistence | None = None
) -> tuple[VolumeKey, ...]:
    """Fetches the keys and tries each on its volume. persistence: without it each is fetched with one try. Raises
    WrongKey if a key was not found or does not open its volume; Cancelled.
    """
    return tuple(_get_key(key, report, persistence) for key in keys)


def _get_key(key: AssignedKey, report: Report, persistence: Persistence | None) -> VolumeKey:
    name = key.volume.name if key.volume else None
    if key.source.passphrase is not None:
        passphrase = key.source.passphrase
    else:
        url = key.source.url.reveal() if key.source.url else ""
        report(Status(f"Getting the key of {key} from {without_secrets(url)}"))
        wanted = Wanted(f"key of {key}", "a file with the passphrase", "p2v.key", MAX_SIZE, is_it=_is_line)
        try:
            content = fetch_persistently(url, wanted, persistence) if persistence else fetch(url, wanted)
        except FetchFailed as error:
            raise WrongKey(error.message, error.advice, name) from error
        passphrase = _passphrase(content, key, name)
    if key.volume is None:
        unchecked = (
            f"The key of {key.source.volume} was not tried: no partition to convert has this UUID. "
            "If a logical volume has it, virt-v2v uses the key."
        )
        return VolumeKey(key.source.volume.lower(), str(key), passphrase, unchecked)
    report(Status(f"Trying the key of {key}"))
    reason = try_key(key.volume, passphrase)
    unchecked = f"The key of {key} was not tried: {reason}. If it is wrong, virt-v2v fails." if reason else ""
    return VolumeKey(key.volume.id, str(key), passphrase, unchecked)


def _line(content: bytes) -> bytes:
    return content.removesuffix(b"\n").removesuffix(b"\r") if content.endswith(b"\n") else content


def _is_line(content: bytes) -> bool:
    return bool(_line(content)) and not re.search(rb"[\n\0]", _line(content))


def _passphrase(content: bytes, key: AssignedKey, name: str | None) -> Secret:
    """The file's content without its line end: virt-v2v reads only the first line before 2.13, later all of it."""
    line = _line(content)
    if not line:
        raise WrongKey(f"The key of {key} is empty.", "Put the passphrase into it, as one line.", name)
    if not _is_line(content):
        raise WrongKey(
            f"The key of {key} is not a line of text.",
            "virt-v2v takes one line without NUL bytes. Give a passphrase of the volume, or add one to it "
            "(cryptsetup luksAddKey).",
            name,
        )
    return Secret.from_bytes(line)


class _CannotTry(Exception):
    """Why, in words."""


def try_key(volume: EncryptedVolume, passphrase: Secret) -> str:
    """Tries the key on the volume. Returns why it could not be tried; empty if it fits. Raises WrongKey if it does
    not.
    """
    options = ["--test-passphrase", "--readonly", "--batch-mode", "--tries", "1", "--type", _TYPES[volume.kind]]
    try:
        with _node(volume) as node:
            # By standard input, as ps shows every argument.
            command = ["cryptsetup", "open", *options, "--key-file", "-", str(node)]
            done = _run(command, passphrase.encode(), TRY_SECONDS)
    except _CannotTry as error:
        return str(error)
    if done.returncode == 0:
        return ""
    said = _said(done)
    # cryptsetup 2.6.1 exits with 1 and no message if a well-formed recovery password is not the volume's.
    if done.returncode == _WRONG_PASSPHRASE or (volume.kind == BITLOCKER and done.returncode == 1 and not said):
        return _refused(volume, passphrase)
    return f"cryptsetup failed ({said or f'exit code {done.returncode}'})"


def _refused(volume: EncryptedVolume, passphrase: Secret) -> str:
    """The result of `try_key` if cryptsetup refuses the key."""
    if volume.kind != BITLOCKER:
        advice = "Give a passphrase of one of its key slots, as it is asked for at boot."
    elif passphrase.reveal().isascii():
        advice = "Give its password, or its recovery password with the hyphens: eight groups of six digits."
    else:
        return "cryptsetup before 2.8.1 refuses every BitLocker password with letters beyond ASCII"
    raise WrongKey(f"The key of {volume} does not open it.", advice, volume.name)


@contextlib.contextmanager
def _node(volume: EncryptedVolume) -> Iterator[Path]:
    """A device to read the volume from: its own, or for a disk image a temporary loop device."""
    own = next((node for place in NODES if (node := place / volume.name).is_block_device()), None)
    if own is not None:
        yield own
        return
    if volume.start is None:
        raise _CannotTry(f"the device {volume.name} was not found")
    if os.geteuid() != 0:
        raise _CannotTry("only root can try a key on a disk image")
    place = ["--offset", str(volume.start), "--sizelimit", str(volume.size)]
    node = Path(_losetup("--find", "--show", "--read-only", *place, str(volume.disk)))
    try:
        device = node.open("rb", buffering=0)
    except OSError as error:
        raise _CannotTry(f"the loop device {node} cannot be read ({error.strerror})") from error
    finally:
        # From now on the kernel removes it when it is closed for the last time, however we end.
        _losetup("--detach", str(node))
    with device:
        yield node


def _losetup(*words: str) -> str:
    done = _run(["losetup", *words])
    if done.returncode != 0:
        raise _CannotTry(f"no loop device is available ({_said(done)})")
    return done.stdout.decode().strip()


def _run(command: Sequence[str], stdin: bytes = b"", seconds: float = TOOL_SECONDS) -> CompletedProcess[bytes]:
    """Runs the tool to its end. Raises _CannotTry if it is missing or does not end."""
    try:
        done = complete(command, stdin=stdin, seconds=seconds)
    except FileNotFoundError as error:
        raise _CannotTry(f"{command[0]} is not installed on this machine") from error
    except OSError as error:
        raise _CannotTry(f"{command[0]} cannot be started ({error.strerror})") from error
    if done is None:
        raise _CannotTry(f"{command[0]} did not end in {seconds:.0f} seconds")
    return done


def _said(done: CompletedProcess[bytes]) -> str:
    """The last line of its complaints."""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return plain(lines[-1]).rstrip(".") if lines else ""


def key_arguments(keys: Sequence[VolumeKey], directory: RemoteDirectory, virt_v2v: VirtV2V) -> list[str]:
    """The options for virt-v2v. Raises SettingsError if the server's virt-v2v lacks --key."""
    if keys and not virt_v2v.opens_volumes:
        raise SettingsError(
            f"virt-v2v {virt_v2v.version} on the server cannot open encrypted volumes (p2v.key).",
            "Install virt-v2v 1.42 or later there.",
            setting=SETTING,
        )
    files = [directory.key_file(number) for number in range(len(keys))]
    return [word for key, file in zip(keys, files, strict=True) for word in ("--key", f"{key.id}:file:{file}")]


def key_files(keys: Sequence[VolumeKey], directory: RemoteDirectory) -> dict[str, bytes]:
    """The path on the conversion server and the content of each file that `key_arguments` names."""
    return {directory.key_file(number): key.passphrase.encode() for number, key in enumerate(keys)}
