"""Getting the SSH identity: from a real web server, from files, by curl, and everything that can be wrong with it."""

from __future__ import annotations

import http.server
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2v_tui.errors import ConnectionFailed
from p2v_tui.session.ssh.identity import MAX_SIZE, fetch_identity

PASSPHRASE = "Tr0ub4dor&3"


def make_key(path: Path, passphrase: str = "") -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `id` and `locked`, which has a passphrase."""
    directory = tmp_path_factory.mktemp("keys")
    make_key(directory / "id")
    make_key(directory / "locked", PASSPHRASE)
    return directory


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "identity"


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers /NAME with that of `answers`, and with 404 where there is none."""

    answers: dict[str, bytes]

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/id")
            self.end_headers()
        elif self.path in self.answers:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.answers[self.path])
        else:
            self.send_error(404, "Not Found")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the tests' output."""


@pytest.fixture(scope="module")
def web(keys: Path) -> Iterator[str]:
    """The URL of a web server on the loopback that has the keys."""
    key = (keys / "id").read_bytes()
    answers = {
        "/id": key,
        "/dos": key.replace(b"\n", b"\r\n"),
        "/cut": key.rstrip(b"\n"),
        "/locked": (keys / "locked").read_bytes(),
        "/page": b"<html>Please log in</html>\n",
        "/empty": b"",
        "/huge": b"x" * (MAX_SIZE + 1),
        "/putty": b"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n",
        "/public": (keys / "id.pub").read_bytes(),
        "/damaged": key[: len(key) // 2],
    }
    handler = type("Handler", (_Handler,), {"answers": answers})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def refusal(url: str, destination: Path) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as raised:
        fetch_identity(url, destination)
    assert raised.value.setting == "auth.identity.url"
    assert raised.value.exit_code == 3
    assert raised.value.advice
    return raised.value


@pytest.mark.parametrize("name", ["id", "moved", "dos", "cut"])
def test_a_key_from_a_web_server_is_stored_for_its_owner_alone(
    web: str, keys: Path, destination: Path, name: str
) -> None:
    previous = os.umask(0)
    try:
        fetch_identity(f"{web}/{name}", destination)
    finally:
        os.umask(previous)
    assert destination.read_bytes() == (keys / "id").read_bytes()
    assert stat.S_IMODE(destination.stat().st_mode) == 0o600


def test_a_web_server_that_does_not_have_it_is_quoted(web: str, destination: Path) -> None:
    error = refusal(f"{web}/missing", destination)
    assert f"{web}/missing" in error.message
    assert "404 Not Found" in error.message


def test_a_web_server_that_is_not_there_is_an_error_with_its_reason(destination: Path) -> None:
    assert "refused" in refusal("http://127.0.0.1:1/id", destination).message


@pytest.mark.parametrize(
    ("name", "why", "helps"),
    [
        ("page", "PRIVATE KEY", "URL of the private key"),
        ("empty", "PRIVATE KEY", "URL of the private key"),
        ("putty", "PuTTY's format", "puttygen"),
        ("public", "it is a public key", "not of the .pub file"),
        ("damaged", "ssh-keygen says", "ssh-keygen -y"),
    ],
)
def test_what_is_no_key_is_refused_as_what_it_is(
    web: str, destination: Path, name: str, why: str, helps: str
) -> None:
    error = refusal(f"{web}/{name}", destination)
    assert "not an SSH private key" in error.message
    assert why in error.message
    assert helps in error.advice
    assert "[" not in error.message
    # Our copy of it is nobody else's business, and gone by then.
    assert str(destination) not in f"{error.message} {error.advice}"


def test_what_is_far_too_long_for_a_key_is_refused_before_it_is_stored(web: str, destination: Path) -> None:
    assert str(MAX_SIZE) in refusal(f"{web}/huge", destination).message
    assert not destination.exists()


def test_a_key_with_a_passphrase_is_refused_as_such(web: str, keys: Path, destination: Path) -> None:
    for url in (f"{web}/locked", f"file://{keys / 'locked'}"):
        error = refusal(url, destination)
        assert "has a passphrase" in error.message
        assert "ssh-keygen" in error.advice


@pytest.mark.parametrize("form", ["file://{}", "file:{}", "file://localhost{}", "FILE://{}"])
def test_a_file_is_read_by_every_form_of_its_url(keys: Path, destination: Path, form: str) -> None:
    fetch_identity(form.format(keys / "id"), destination)
    assert destination.read_bytes() == (keys / "id").read_bytes()


def test_a_files_url_may_be_percent_encoded(keys: Path, tmp_path: Path, destination: Path) -> None:
    copy = tmp_path / "my key"
    copy.write_bytes((keys / "id").read_bytes())
    copy.chmod(0o600)
    fetch_identity(f"file://{tmp_path}/my%20key", destination)
    assert destination.exists()


def test_a_file_that_is_missing_is_named_with_the_machine_it_should_be_on(tmp_path: Path, destination: Path) -> None:
    error = refusal(f"file://{tmp_path}/missing", destination)
    assert f"{tmp_path}/missing" in error.message
    assert "No such file" in error.message
    assert "this machine" in error.advice


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_refused_with_its_mode(
    keys: Path, tmp_path: Path, destination: Path, mode: int
) -> None:
    copy = tmp_path / "open"
    copy.write_bytes((keys / "id").read_bytes())
    copy.chmod(mode)
    error = refusal(f"file://{copy}", destination)
    assert f"{mode:04o}" in error.message
    assert f"chmod 600 {copy}" in error.advice


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/hostname"])
def test_nobody_is_told_to_change_the_mode_of_a_file_that_is_no_key(destination: Path, path: str) -> None:
    error = refusal(f"file://{path}", destination)
    assert "is not an SSH private key" in error.message
    assert "chmod" not in str(error)
    assert not destination.exists()


def test_the_public_half_is_refused_and_the_private_one_asked_for(
    keys: Path, tmp_path: Path, destination: Path
) -> None:
    copy = tmp_path / "id.pub"
    copy.write_bytes((keys / "id.pub").read_bytes())
    copy.chmod(0o600)
    error = refusal(f"file://{copy}", destination)
    assert "not an SSH private key" in error.message
    assert ".pub" in error.advice


def test_a_fifo_and_a_directory_are_no_files_and_nobody_waits_for_them(tmp_path: Path, destination: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    assert "not a file" in refusal(f"file://{fifo}", destination).message
    assert "Is a directory" in refusal(f"file://{tmp_path}", destination).message


def test_a_file_of_another_host_is_refused_by_naming_the_host(destination: Path) -> None:
    error = refusal("file://otherhost/root/id", destination)
    assert "otherhost" in error.message
    assert "file:///" in error.advice


def test_every_other_scheme_is_curls_and_its_reason_is_quoted(destination: Path) -> None:
    message = refusal("ftp://127.0.0.1:1/id", destination).message
    assert "ftp://127.0.0.1:1/id" in message
    assert "curl" in message


def test_a_scheme_that_curl_does_not_know_is_refused_too(destination: Path) -> None:
    assert "not supported" in refusal("gopherx://127.0.0.1/id", destination).message


def test_without_curl_the_error_names_what_is_left(
    destination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = refusal("ftp://127.0.0.1:1/id", destination)
    assert "curl is not installed" in error.message
    assert "http" in error.advice


def test_a_password_in_the_url_shows_in_no_error(web: str, destination: Path) -> None:
    host = web.removeprefix("http://")
    fetch_identity(f"http://user:{PASSPHRASE}@{host}/id", destination)
    urls = [f"http://user:{PASSPHRASE}@{host}/{name}" for name in ("missing", "page", "locked", "huge")]
    for url in (*urls, f"http://user:{PASSPHRASE}@127.0.0.1:1/id", f"ftp://user:{PASSPHRASE}@127.0.0.1:1/id"):
        assert PASSPHRASE not in str(refusal(url, destination))
