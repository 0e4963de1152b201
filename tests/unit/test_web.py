"""Reading from URLs of the network when the network and the servers are bad: by real sockets and bad manners."""

from __future__ import annotations

import contextlib
import http.server
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2v_tui.errors import Cancelled, Retry
from p2v_tui.session.ssh.fetch import FetchFailed, Persistence, Wanted, fetch, fetch_persistently
from p2v_tui.session.ssh.web import AlreadyThere, WebFailure, read_url, write_url
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import Event, Warned
from tests.lab.ports import free_port

LIMIT = 1000
WANTED = Wanted("SSH identity", "a private key", "p2v.identity", LIMIT)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nkey\n"
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@contextlib.contextmanager
def serving(
    answer: Callable[[socket.socket], None], port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """The port of a server on the loopback that does this with each connection once a request has come."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                talking = tls.wrap_socket(self.request, server_side=True) if tls else self.request
                talking.recv(65536)
                answer(talking)
                talking.close()

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def saying(*parts: bytes) -> Callable[[socket.socket], None]:
    return lambda talking: talking.sendall(b"".join(parts))


def dripping(head: bytes) -> Callable[[socket.socket], None]:
    """A byte now and then, for ever: no single read ever takes long."""

    def drip(talking: socket.socket) -> None:
        talking.sendall(head)
        while True:
            talking.sendall(b"x")
            time.sleep(0.05)

    return drip


def failure(url: str, timeout: float = 10.0) -> WebFailure:
    with pytest.raises(WebFailure) as caught:
        read_url(url, LIMIT, Cancellation(), timeout)
    for programmers_word in ("HTTPConnectionPool", "Errno", "object at", "Error", "Max retries", "'"):
        assert programmers_word not in str(caught.value)
    return caught.value


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate, with its key, of a web server on 127.0.0.1."""
    made = tmp_path_factory.mktemp("tls") / "server.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(made.with_suffix(".key")), "-out", str(made)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return made


@pytest.fixture
def tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What the server speaks TLS with; this process believes it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


@pytest.mark.parametrize("head", [HEAD, b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTT"], ids=["body", "header", "status"])
def test_a_server_that_sends_byte_by_byte_is_given_up_when_the_whole_takes_too_long(head: bytes) -> None:
    with serving(dripping(head)) as port:
        error = failure(f"http://127.0.0.1:{port}/id", timeout=0.5)
    assert "did not answer within" in str(error)
    assert error.temporary


def test_curl_has_a_limit_on_the_whole_too() -> None:
    with serving(dripping(b"")) as port:
        error = failure(f"gopher://127.0.0.1:{port}/0", timeout=1.0)
    assert error.temporary


@pytest.mark.parametrize("scheme", ["http", "gopher"])
def test_no_more_is_read_than_was_asked_for_however_much_there_is(scheme: str) -> None:
    def flood(talking: socket.socket) -> None:
        talking.sendall(HEAD)
        while True:
            talking.sendall(b"x" * 65536)

    with serving(flood) as port:
        assert len(read_url(f"{scheme}://127.0.0.1:{port}/0", LIMIT, Cancellation())) > LIMIT


@pytest.mark.parametrize("scheme", ["http", "gopher"])
def test_a_cancellation_is_felt_while_a_server_is_silent(scheme: str) -> None:
    cancellation = Cancellation()
    done = threading.Event()

    def silent(talking: socket.socket) -> None:
        del talking
        cancellation.cancel()
        done.wait(60)

    with serving(silent) as port, pytest.raises(Cancelled):
        try:
            read_url(f"{scheme}://127.0.0.1:{port}/id", LIMIT, cancellation)
        finally:
            done.set()


def test_https_is_never_redirected_to_http(tls: ssl.SSLContext) -> None:
    with serving(saying(OK)) as plain:
        moved = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{plain}/id\r\nContent-Length: 0\r\n\r\n".encode()
        with serving(saying(moved), tls=tls) as port:
            error = failure(f"https://127.0.0.1:{port}/id")
    assert "from https to http" in str(error)
    assert not error.temporary


def test_https_may_lead_to_https_and_http_to_either(tls: ssl.SSLContext) -> None:
    with serving(saying(OK), tls=tls) as there:
        moved = f"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:{there}/id\r\nContent-Length: 0\r\n\r\n".encode()
        with serving(saying(moved), tls=tls) as secure, serving(saying(moved)) as plain:
            assert read_url(f"https://127.0.0.1:{secure}/id", LIMIT, Cancellation()) == b"key\n"
            assert read_url(f"http://127.0.0.1:{plain}/id", LIMIT, Cancellation()) == b"key\n"


def test_redirections_without_an_end_are_given_up() -> None:
    with serving(
        saying(b"HTTP/1.1 302 Found\r\nLocation: /id\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    ) as port:
        assert "redirects more than" in str(failure(f"http://127.0.0.1:{port}/id"))


def test_an_untrusted_certificate_is_given_as_the_reason(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with serving(saying(OK), tls=tls) as port:
        error = failure(f"https://127.0.0.1:{port}/id")
    assert "the certificate of 127.0.0.1 is not accepted" in str(error)
    assert not error.temporary


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "127.0.0.1 ended the connection in the middle"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf a", "ended the connection in the middle"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "ended the connection in the middle"),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "the web server answers 503 Service Unav"),
        (b"HTTP/1.1 429 \r\nContent-Length: 0\r\n\r\n", "the web server answers 429"),
    ],
)
def test_a_failure_that_may_be_temporary_says_so(answer: bytes, reason: str) -> None:
    with serving(saying(answer)) as port:
        error = failure(f"http://127.0.0.1:{port}/id")
    assert reason in str(error)
    assert error.temporary


@pytest.mark.parametrize("code", ["401 Unauthorized", "403 Forbidden", "404 Not Found", "410 Gone"])
def test_a_permanent_failure_is_not_called_temporary(code: str) -> None:
    with serving(saying(f"HTTP/1.1 {code}\r\nContent-Length: 0\r\n\r\n".encode())) as port:
        error = failure(f"http://127.0.0.1:{port}/id")
    assert code in str(error)
    assert not error.temporary


def test_a_refused_connection_may_be_temporary_and_is_named_plainly() -> None:
    error = failure(f"http://127.0.0.1:{free_port()}/id")
    assert str(error) == "connection refused"
    assert error.temporary


@pytest.mark.parametrize("url", ["http://", "http://host:notaport/", "http://[::1/id", "https:///id"])
def test_an_invalid_address_is_called_wrong_and_not_retried(url: str) -> None:
    with pytest.raises(FetchFailed) as caught:
        fetch(url, WANTED)
    assert "is not valid" in caught.value.message
    assert "p2v.identity" in caught.value.advice
    assert caught.value.retry is Retry.NEVER


def test_a_server_that_comes_up_late_is_waited_for() -> None:
    """As at boot, where DHCP or the web server are slower than we are."""
    port = free_port()
    heard: list[Event] = []
    come_up = threading.Event()

    class Waiting(Cancellation):
        """Whoever waits for the next try lets the server come up, at once."""

        def wait(self, seconds: float) -> None:
            del seconds
            come_up.set()
            assert up.wait(10)

    up = threading.Event()
    done = threading.Event()

    def web_server() -> None:
        assert come_up.wait(10)
        with serving(saying(OK), port):
            up.set()
            assert done.wait(10)

    thread = threading.Thread(target=web_server)
    thread.start()
    try:
        persistence = Persistence(3600, heard.append, Waiting())
        assert fetch_persistently(f"http://127.0.0.1:{port}/id", WANTED, persistence) == b"key\n"
    finally:
        done.set()
        thread.join()
    (warned,) = heard
    assert isinstance(warned, Warned)
    assert warned.text == (
        f"The SSH identity was not fetched from http://127.0.0.1:{port}/id: connection refused. "
        "Trying again for up to 1 h 0 min."
    )


def test_permanent_failures_and_those_without_time_to_retry_get_one_try() -> None:
    heard: list[Event] = []
    tries: list[None] = []

    def missing(talking: socket.socket) -> None:
        tries.append(None)
        talking.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with pytest.raises(FetchFailed, match="connection refused"):
        fetch_persistently(f"http://127.0.0.1:{free_port()}/id", WANTED, Persistence(0, heard.append, Cancellation()))
    with serving(missing) as port, pytest.raises(FetchFailed, match="404"):
        fetch_persistently(f"http://127.0.0.1:{port}/id", WANTED, Persistence(3600, heard.append, Cancellation()))
    assert len(tries) == 1
    assert not heard


def test_a_password_goes_to_the_web_server_and_not_to_another_one_that_it_redirects_to() -> None:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization", ""))
            self.send_response(302 if self.path == "/id" else 200)
            if self.path == "/id":
                self.send_header("Location", f"http://localhost:{server.server_port}/other")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the tests' output."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        assert read_url(f"http://me:secret@127.0.0.1:{server.server_port}/id", LIMIT, Cancellation()) == b""
        server.shutdown()
        thread.join()
    assert asked[0].startswith("Basic ")
    assert asked[1] == ""


# Writing.


class WebServer:
    """A web server that keeps what is put: the requests that it got, and what it answers to the next PUT."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.answers: list[tuple[int, str]] = []
        # Whether it knows HEAD, and whether it heeds If-None-Match.
        self.tells = True
        self.heeds = True


@contextlib.contextmanager
def web_server(tls: ssl.SSLContext | None = None) -> Iterator[tuple[WebServer, str]]:
    """The server, and its URL without a path."""
    kept = WebServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            kept.asked.append(f"HEAD {self.path}")
            self._answer((200 if self.path in kept.files else 404) if kept.tells else 405)

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            kept.asked.append(f"PUT {self.path}")
            if kept.answers:
                self._answer(*kept.answers.pop(0))
            elif kept.heeds and self.headers.get("If-None-Match") == "*" and self.path in kept.files:
                self._answer(412)
            else:
                kept.files[self.path] = content
                self._answer(201)

        def _answer(self, code: int, location: str = "") -> None:
            self.send_response(code)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the tests' output."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield kept, f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def put(url: str, *, replace: bool = False, timeout: float = 10.0) -> None:
    write_url(url, b"content", Cancellation(), replace=replace, timeout=timeout)


def test_a_file_is_put_to_a_url_whole() -> None:
    with web_server() as (kept, url):
        put(f"{url}/a.conf")
    assert kept.files == {"/a.conf": b"content"}


@pytest.mark.parametrize(("tells", "heeds"), [(True, False), (False, True), (True, True)])
def test_what_is_there_is_replaced_only_if_somebody_says_so(tells: bool, heeds: bool) -> None:
    with web_server() as (kept, url):
        kept.files["/a.conf"] = b"old"
        kept.tells, kept.heeds = tells, heeds
        with pytest.raises(AlreadyThere):
            put(f"{url}/a.conf")
        assert kept.files["/a.conf"] == b"old"
        put(f"{url}/a.conf", replace=True)
        assert kept.files["/a.conf"] == b"content"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (401, "answers 401 Unauthorized: it wants a user name and a password"),
        (403, "answers 403 Forbidden: it does not allow this machine to write there"),
        (404, "it does not have that directory"),
        (405, "it takes no files there"),
        (413, "the file is too large for it"),
        (418, "answers 418"),
        (500, "it failed; its own log says why"),
        (507, "it has no room left"),
    ],
)
def test_an_answer_that_refuses_is_told_in_words(code: int, words: str) -> None:
    with web_server() as (kept, url):
        kept.answers = [(code, "")]
        with pytest.raises(WebFailure, match=words):
            put(f"{url}/a.conf")
    assert not kept.files


def test_the_same_is_put_where_a_redirection_leads() -> None:
    with web_server() as (kept, url):
        kept.answers = [(307, f"{url}/b.conf")]
        put(f"{url}/a.conf")
    assert kept.files == {"/b.conf": b"content"}


@pytest.mark.parametrize("code", [301, 302, 303])
def test_a_redirection_that_would_make_a_get_of_it_is_not_followed(code: int) -> None:
    with web_server() as (kept, url):
        kept.answers = [(code, f"{url}/b.conf")]
        with pytest.raises(WebFailure, match=r"redirects to .*/b\.conf: give that address"):
            put(f"{url}/a.conf")
    assert not kept.files
    assert "GET /b.conf" not in kept.asked


def test_https_is_not_left_for_http_when_something_is_put(tls: ssl.SSLContext) -> None:
    with web_server() as (plain, http_url), web_server(tls) as (kept, url):
        kept.answers = [(307, f"{http_url}/a.conf")]
        with pytest.raises(WebFailure, match="redirects from https to http"):
            put(f"{url}/a.conf")
        assert not plain.asked
        put(f"{url}/a.conf")
    assert kept.files == {"/a.conf": b"content"}


def test_putting_has_a_limit_on_the_whole() -> None:
    slow = dripping(b"HTTP/1.1 201 Created\r\nX-Slow: ")
    with serving(slow) as port, pytest.raises(WebFailure, match="did not answer within"):
        put(f"http://127.0.0.1:{port}/a", replace=True, timeout=0.5)
    with pytest.raises(WebFailure, match="connection refused"):
        put(f"http://127.0.0.1:{free_port()}/a")
