"""Where the operator keeps a file, the logs or the settings: written there and read from there.

A place is a path of this machine, a stick, a URL, or the home directory of the account on the conversion server.
A file is written whole or not at all, only its owner can read it where the place knows owners, and one that is there
already is replaced only when the operator says so. Nothing here is for the screens' thread: sticks and networks are
slow.
"""

from __future__ import annotations

import datetime
import os
import re
import stat
import tempfile
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote, urlsplit

from p2v_tui.config_file import MAX_SIZE
from p2v_tui.errors import P2VError
from p2v_tui.front.device_words import shown
from p2v_tui.front.last_places import Kind, Place
from p2v_tui.front.stick_mount import mounted
from p2v_tui.hwprobe.sticks import Stick
from p2v_tui.secrecy import without_secrets
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.ssh.home_file import (
    HomeFileExists,
    HomeFileFailed,
    home_files,
    read_home_file,
    write_home_file,
)
from p2v_tui.session.ssh.shell import RemoteShell
from p2v_tui.session.ssh.web import AlreadyThere, WebFailure, read_url, write_url
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.quantities import size_text
from p2v_tui.session.words.watch import Watch

# How a file with settings ends, so that it is found where only its directory is named.
SETTINGS_SUFFIX: Final = ".conf"
_LONGEST_NAME: Final = 255
_NO_DIRECTORY: Final = "Give a path that starts with /."
_NAME_ANOTHER: Final = "Give the path of a file with settings."
_LOOK_AT_WEB: Final = "Check the address, the network and the web server."


@dataclass(frozen=True)
class KeptFile:
    """name: what it is called where the operator names only a directory."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Kept:
    """What was written or read. where: in words. place: names the very file. mode: of a file of this machine, which
    others may be able to read.
    """

    content: bytes
    where: str
    place: Place
    mode: int = 0


@dataclass(frozen=True)
class Means:
    """server: the connection for the place SERVER, None where nobody is logged in or a conversion needs it.
    taken: the names of the disks that are to be converted, on which nothing is ever written.
    """

    server: ControlConnection | None = None
    taken: Collection[str] = ()


class NotSaved(P2VError):
    title = "Nothing was saved"


class NotLoaded(P2VError):
    title = "Nothing was loaded"


class Exists(NotSaved):
    """There is a file already, and nobody has said that it may be replaced."""

    title = "Replace it?"


def file_name(name: str, suffix: str) -> str:
    """A name for a file about the guest of this name."""
    # 80 letters of some scripts have more bytes than a file name may have.
    longest = _LONGEST_NAME - len(f"p2v-tui-{suffix}")
    return f"p2v-tui-{name.encode()[:longest].decode(errors='ignore')}{suffix}"


def save(file: KeptFile, place: Place, means: Means, cancellation: Cancellation, *, replace: bool) -> Kept:
    """Writes the file, and returns it with the place where it is now. Raises Exists, NotSaved and other P2VErrors."""
    match place.kind:
        case Kind.HERE:
            path = _path_here(place.text, NotSaved)
            path = path / file.name if place.text.strip().endswith("/") else path
            written = _write(path, file, replace=replace)
            return Kept(file.content, str(written), Place(place.kind, str(written)))
        case Kind.STICK:
            stick = _stick_of(place, NotSaved)
            inside = _path_on_stick(place.text, file.name, NotSaved)
            with mounted(stick, means.taken, write=True) as directory:
                written = _write(directory / inside, file, replace=replace, below=directory)
            inside = written.relative_to(directory)
            return Kept(file.content, f"{inside} on {stick_line(stick)}", Place(place.kind, str(inside), stick))
        case Kind.WEB:
            url = _url(place.text, NotSaved)
            url += quote(file.name) if url.endswith("/") else ""
            return _put(file, url, cancellation, replace=replace)
        case Kind.SERVER:
            return _save_on_server(file, place.text.strip() or file.name, means, cancellation, replace=replace)


def load(place: Place, means: Means, cancellation: Cancellation) -> Kept:
    """Reads a file with settings. Where only a directory is named, the only such file in it counts.

    Raises NotLoaded and other P2VErrors.
    """
    match place.kind:
        case Kind.HERE:
            content, path, mode = _read(_path_here(place.text, NotLoaded))
            return Kept(content, str(path), Place(place.kind, str(path)), mode)
        case Kind.STICK:
            stick = _stick_of(place, NotLoaded)
            inside = _path_on_stick(place.text, "", NotLoaded)
            with mounted(stick, means.taken, write=False) as directory:
                content, path, _ = _read(directory / inside, below=directory)
            inside = path.relative_to(directory)
            return Kept(content, f"{inside} on {stick_line(stick)}", Place(place.kind, str(inside), stick))
        case Kind.WEB:
            return _get(_url(place.text, NotLoaded), cancellation)
        case Kind.SERVER:
            return _load_from_server(place.text.strip(), means, cancellation)


def stick_line(stick: Stick) -> str:
    """`sdb1  8 GB  vfat  "LOGS"  Cruzer Blade`."""
    label = f'"{shown(stick.label)}"' if stick.label else ""
    words = [shown(stick.name), size_text(stick.size), stick.kind, label, shown(stick.model)]
    return "  ".join(word for word in words if word)


# A path of this machine, and on a stick.


def _path_here(text: str, error: type[P2VError]) -> Path:
    path = text.strip()
    if not path.startswith("/") or "\0" in path:
        raise error(f"{shown(path) or 'Nothing'} is not the path of a directory or a file.", _NO_DIRECTORY)
    return Path(path)


def _path_on_stick(text: str, name: str, error: type[P2VError]) -> Path:
    """Where on the stick. name: of a file in its root directory, where nothing is typed."""
    path = PurePosixPath("/", text.strip()).relative_to("/")
    if ".." in path.parts or "\0" in text:
        raise error(f"{shown(text)} is not a path on the stick.", "Give the name of a file.")
    return Path(path) / name if not path.parts or text.strip().endswith("/") else Path(path)


def _stick_of(place: Place, error: type[P2VError]) -> Stick:
    if place.stick is None:
        raise error("No stick is chosen.", "Plug one in, and choose USB stick once more to look for it.")
    return place.stick


def _write(path: Path, file: KeptFile, *, replace: bool, below: Path | None = None) -> Path:
    """Writes to another name, and gives the file its own when it is whole. below: what no link may lead out of."""
    try:
        real = Path(os.path.realpath(path))
        if real.is_dir():
            real /= file.name
        _check_below(real, below, NotSaved)
        with suppress(FileNotFoundError):
            there = real.stat()
            if not stat.S_ISREG(there.st_mode):
                raise NotSaved(f"{_called(path, below)} is not a file.", "Give another name.")
            if not replace:
                when = datetime.datetime.fromtimestamp(there.st_mtime)
                size = size_text(there.st_size)
                raise Exists(f"{_called(real, below)} is there already ({size}, of {when:%Y-%m-%d %H:%M}).")
        descriptor, name = tempfile.mkstemp(prefix=".p2v-tui-", dir=real.parent)
        try:
            with os.fdopen(descriptor, "wb") as written:
                written.write(file.content)
                written.flush()
                # Next the stick is pulled out, or the machine shut down.
                os.fsync(descriptor)
            Path(name).rename(real)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_directory(real.parent)
    except OSError as error:
        raise NotSaved(
            f"Could not write to {_called(path, below)}: {error.strerror}.", "Give another place."
        ) from error
    return real


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, below: Path | None = None) -> tuple[bytes, Path, int]:
    """The content, the file that it is from, and its mode."""
    try:
        real = Path(os.path.realpath(path))
        _check_below(real, below, NotLoaded)
        if real.is_dir():
            names = [each.name for each in real.iterdir() if each.is_file() and not each.name.startswith(".")]
            real /= _only(names, _called(real, below))
        # Non-blocking, so that a FIFO cannot hang us.
        with os.fdopen(os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise NotLoaded(f"{_called(path, below)} is not a file.", _NAME_ANOTHER)
            return _whole(file.read(MAX_SIZE + 1), _called(real, below)), real, mode
    except OSError as error:
        raise NotLoaded(f"{_called(path, below)} cannot be read: {error.strerror}.", _NAME_ANOTHER) from error


def _check_below(real: Path, below: Path | None, error: type[P2VError]) -> None:
    if below is not None and not real.is_relative_to(os.path.realpath(below)):
        raise error(f"{_called(real, below)} is not on the stick: a link leads away from it.", "Give another name.")


def _called(path: Path, below: Path | None) -> str:
    """The path for messages; on a stick without the directory where it is mounted for a moment."""
    if below is not None and path.is_relative_to(below):
        return shown(str(path.relative_to(below)))
    return shown(str(path))


def _only(names: Iterable[str], where: str) -> str:
    """The only one of these names that is one of settings. where: what they are in, for messages."""
    found = sorted(name for name in names if name.endswith(SETTINGS_SUFFIX))
    if len(found) == 1:
        return found[0]
    if found:
        raise NotLoaded(f"{where} holds several: {', '.join(map(shown, found))}.", "Name one of them.")
    raise NotLoaded(f"{where} holds no file that ends in {SETTINGS_SUFFIX}.", "Name the file with the settings.")


def _whole(content: bytes, where: str) -> bytes:
    if len(content) > MAX_SIZE:
        raise NotLoaded(f"{where} has more than {MAX_SIZE} bytes.", "Name a file with settings.")
    return content


# A URL.


def _url(text: str, error: type[P2VError]) -> str:
    url = text.strip()
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme.lower() in {"http", "https"} and parts.hostname and not re.search(r"\s", url):
            return url
    raise error(
        f"{shown(without_secrets(url)) or 'Nothing'} is not the URL of a web server.",
        "Give one that starts with https:// or http://. One that ends with / is a directory.",
    )


def _put(file: KeptFile, url: str, cancellation: Cancellation, *, replace: bool) -> Kept:
    where = shown(without_secrets(url))
    try:
        write_url(url, file.content, cancellation, replace=replace)
    except AlreadyThere as error:
        raise Exists(f"{where} is there already.") from error
    except WebFailure as error:
        raise NotSaved(f"{where}: {error}.", _LOOK_AT_WEB) from error
    return Kept(file.content, where, Place(Kind.WEB, url))


def _get(url: str, cancellation: Cancellation) -> Kept:
    where = shown(without_secrets(url))
    try:
        content = _whole(read_url(url, MAX_SIZE, cancellation), where)
    except WebFailure as error:
        raise NotLoaded(f"{where}: {error}.", _LOOK_AT_WEB) from error
    return Kept(content, where, Place(Kind.WEB, url))


# The conversion server.


def _shell(means: Means, error: type[P2VError], cancellation: Cancellation) -> RemoteShell:
    if means.server is None:
        raise error("Nobody is logged in to the conversion server.", "Test the connection first.")
    return means.server.shell(Watch(lambda _: None, cancellation))


def _home_name(name: str, means: Means, error: type[P2VError]) -> str:
    if re.search(r"[/\x00-\x1f\x7f]", name) or name.startswith("."):
        user = means.server.user if means.server else "the account"
        raise error(
            f"{shown(name)} is not the name of a file in the home directory of {user}.",
            "Give a name without / that does not start with a dot.",
        )
    return name


def _on_server(name: str, server: ControlConnection) -> str:
    return f"{shown(name)} on {shown(server.host)}"


def _save_on_server(file: KeptFile, name: str, means: Means, cancellation: Cancellation, *, replace: bool) -> Kept:
    shell = _shell(means, NotSaved, cancellation)
    assert means.server is not None
    where = _on_server(_home_name(name, means, NotSaved), means.server)
    try:
        path = write_home_file(shell, name, file.content, replace=replace)
    except HomeFileExists as error:
        raise Exists(f"{where} is there already, in the home directory of {means.server.user}.") from error
    except HomeFileFailed as error:
        raise NotSaved(f"Could not write {where}: {error}.", "Give another place.") from error
    return Kept(file.content, _on_server(path, means.server), Place(Kind.SERVER, name))


def _load_from_server(name: str, means: Means, cancellation: Cancellation) -> Kept:
    shell = _shell(means, NotLoaded, cancellation)
    assert means.server is not None
    home = f"The home directory of {means.server.user} on {shown(means.server.host)}"
    try:
        name = _home_name(name, means, NotLoaded) if name else _only(home_files(shell, SETTINGS_SUFFIX), home)
        where = _on_server(name, means.server)
        content = _whole(read_home_file(shell, name, MAX_SIZE + 1), where)
    except HomeFileFailed as error:
        where = _on_server(name, means.server)
        raise NotLoaded(f"{where} cannot be read: {error}.", "Give the name of a file with settings.") from error
    return Kept(content, where, Place(Kind.SERVER, name))
