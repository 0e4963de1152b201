"""Reads a small file from a network URL: http and https with requests, any other scheme with curl(1). Writes one by
HTTP PUT.

One time limit covers everything, including name look-up and redirections: a server that sends a byte now and then
would outlast any limit on a single read.
"""

from __future__ import annotations

import errno
import http
import os
import re
import selectors
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from p2v_tui.hwprobe.answers import Answer
from p2v_tui.secrecy import without_secrets
from p2v_tui.session.words.cancellation import Cancellation

if TYPE_CHECKING:
    from requests import Response

Result = TypeVar("Result")

TIMEOUT: Final = 30.0
# How often it checks for a cancellation, in seconds.
_INTERVAL: Final = 0.1
_MAX_REDIRECTIONS: Final = 5
# Answers after which a retry may succeed: time-outs, too many requests, and a proxy's errors about a server.
_TEMPORARY_ANSWERS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
# curl(1): proxy or host cannot be resolved, no connection, cut off, timed out, nothing received, send or receive
# error.
_PASSING_EXIT_CODES: Final = frozenset({5, 7, 18, 28, 52, 55, 56})
_COULD_NOT_RESOLVE: Final = 6
_EXISTS: Final = http.HTTPStatus.PRECONDITION_FAILED
# What an answer to a PUT means, as far as its number says more than "it failed".
_WRITE_ANSWERS: Final = {
    400: "it does not take this address",
    401: "it wants a user name and a password, as in https://USER:PASSWORD@HOST/",
    403: "it does not allow this machine to write there",
    404: "it does not have that directory",
    405: "it takes no files there",
    409: "it does not have that directory",
    413: "the file is too large for it",
    423: "the file there is locked",
    501: "it takes no files at all",
    507: "it has no room left",
}


class WebFailure(Exception):
    """reason: a clause that follows a colon. temporary: a retry may succeed. address_at_fault: the URL is wrong."""

    def __init__(self, reason: str, *, temporary: bool, address_at_fault: bool = False) -> None:
        super().__init__(reason)
        self.temporary = temporary
        self.address_at_fault = address_at_fault


class AlreadyThere(Exception):
    """Something is at the URL that was not to be replaced."""


def read_url(url: str, limit: int, cancellation: Cancellation, timeout: float = TIMEOUT) -> bytes:
    """The content of the URL, at most limit + 1 bytes. timeout: seconds in all.

    Raises WebFailure, Cancelled; FileNotFoundError if curl is needed and not installed.
    """
    if urlsplit(url).scheme.lower() in {"http", "https"}:
        # Not in the thread, which is abandoned when it takes too long: a retry would find the module half loaded.
        import_module("requests")
        return _in_time(lambda: _read_http(url, limit, timeout), timeout, cancellation)
    return _read_curl(url, limit, timeout, cancellation)


def write_url(
    url: str, content: bytes, cancellation: Cancellation, *, replace: bool, timeout: float = TIMEOUT
) -> None:
    """Stores the content at an http or https URL. timeout: seconds in all.

    Raises WebFailure, Cancelled; AlreadyThere if `replace` is false and the web server says that something is there.
    """
    import_module("requests")
    _in_time(lambda: _put(url, content, timeout, replace=replace), timeout, cancellation)


def _put(url: str, content: bytes, timeout: float, *, replace: bool) -> None:
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    if not replace:
        # Many servers do not heed the condition, others do not answer HEAD.
        if _over_http("HEAD", url, timeout, lambda response: response.ok):
            raise AlreadyThere
        headers["If-None-Match"] = "*"
    _over_http("PUT", url, timeout, _check_written, headers=headers, body=content)


def _check_written(response: Response) -> None:
    code = response.status_code
    if code == _EXISTS and "If-None-Match" in response.request.headers:
        raise AlreadyThere
    if response.ok and code < http.HTTPStatus.MULTIPLE_CHOICES:
        return
    meaning = _WRITE_ANSWERS.get(code, "it failed; its own log says why" if code >= 500 else "")
    answer = f"the web server answers {code} {response.reason or ''}".rstrip()
    raise WebFailure(f"{answer}: {meaning}".removesuffix(": "), temporary=code in _TEMPORARY_ANSWERS)


def _too_late(timeout: float) -> WebFailure:
    return WebFailure(f"it did not answer within {timeout:.0f} seconds", temporary=True)


def _in_time(work: Callable[[], Result], timeout: float, cancellation: Cancellation) -> Result:
    """Runs the work in a thread, which is abandoned if it hangs in a look-up or in a header."""
    deadline = time.monotonic() + timeout

    def look_up() -> None:
        cancellation.check()
        if time.monotonic() > deadline:
            raise _too_late(timeout)

    return Answer(work).wait(look_up)


def _read_http(url: str, limit: int, timeout: float) -> bytes:
    def content(response: Response) -> bytes:
        _check_status(response.status_code, response.reason)
        # Not with requests' own reader, which has no limit.
        return response.raw.read(limit + 1, decode_content=True) or b""

    return _over_http("GET", url, timeout, content)


def _over_http(
    method: str,
    url: str,
    timeout: float,
    use: Callable[[Response], Result],
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Result:
    """What is made of the answer to a request, after redirections. Raises WebFailure."""
    # 40 ms of imports that most runs never need.
    import requests  # noqa: PLC0415
    import urllib3  # noqa: PLC0415

    try:
        with requests.Session() as session:
            request = session.prepare_request(requests.Request(method, url, headers=headers, data=body))
            for _ in range(_MAX_REDIRECTIONS + 1):
                around = session.merge_environment_settings(request.url or url, {}, True, None, None)
                response = session.send(request, timeout=timeout, allow_redirects=False, **around)
                with response:
                    if response.next is None:
                        return use(response)
                    _check_redirection(request.url or url, response.next.url or "")
                    if response.next.method != method or response.next.body != body:
                        # Only 307 and 308 send the same once more.
                        there = without_secrets(response.next.url or "")
                        raise WebFailure(f"the web server redirects to {there}: give that address", temporary=False)
                    request = response.next
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
        raise _http_failure(url, error) from error
    raise WebFailure(f"the web server redirects more than {_MAX_REDIRECTIONS} times", temporary=False)


def _check_status(code: int, reason: str | None) -> None:
    if code != http.HTTPStatus.OK:
        raise WebFailure(
            f"the web server answers {code} {reason or ''}".rstrip(), temporary=code in _TEMPORARY_ANSWERS
        )


def _check_redirection(here: str, there: str) -> None:
    if urlsplit(here).scheme.lower() == "https" and urlsplit(there).scheme.lower() != "https":
        raise WebFailure(
            "the web server redirects from https to http, where everybody on the way could read it", temporary=False
        )


def _http_failure(url: str, error: Exception) -> WebFailure:
    """The reason in words: the texts of requests and urllib3 are for programmers."""
    host = urlsplit(url).hostname or url
    known = (_system_failure(host, cause) for cause in _causes(error))
    if failure := next((failure for failure in known if failure is not None), None):
        return failure
    names = " ".join(type(cause).__name__ for cause in _causes(error))
    if "Timeout" in names:
        return WebFailure(f"{host} does not answer", temporary=True)
    if re.search("ConnectionError|ProtocolError|ChunkedEncodingError|IncompleteRead", names):
        return WebFailure(f"{host} ended the connection in the middle", temporary=True)
    return WebFailure("the address is not a valid URL", temporary=False, address_at_fault=True)


def _system_failure(host: str, cause: BaseException) -> WebFailure | None:
    """None if it is not an error of the system or of TLS."""
    match cause:
        case ssl.SSLCertVerificationError():
            reason = cause.verify_message or "it is not valid"
            found = WebFailure(f"the certificate of {host} is not accepted ({reason})", temporary=False)
        case ssl.SSLError():
            found = WebFailure(f"{host} does not speak TLS there", temporary=False)
        case socket.gaierror():
            found = _not_resolved(host, temporary=cause.errno == socket.EAI_AGAIN)
        case TimeoutError():
            found = WebFailure(f"{host} does not answer", temporary=True)
        case OSError(errno=int() as number) if number in errno.errorcode:
            found = WebFailure(os.strerror(number).lower(), temporary=True)
        case _:
            return None
    return found


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it: urllib3 keeps that in `reason`, requests in its arguments."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or current in seen:
            continue
        seen.append(current)
        yield current
        waiting += [getattr(current, "reason", None), current.__cause__, current.__context__]
        waiting += [argument for argument in current.args if isinstance(argument, BaseException)]


def _not_resolved(host: str, *, temporary: bool) -> WebFailure:
    return WebFailure(
        f"the name {host} {'could not be looked up' if temporary else 'does not exist'}", temporary=temporary
    )


def _read_curl(url: str, limit: int, timeout: float, cancellation: Cancellation) -> bytes:
    # The URL may contain a password, so it is passed on standard input: ps shows every argument.
    command = ["curl", "--silent", "--show-error", "--fail", "--globoff", "--max-time", f"{timeout:.0f}"]
    quoted = url.replace("\\", "\\\\").replace('"', '\\"')
    with subprocess.Popen(
        [*command, "--config", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as curl:
        try:
            assert curl.stdin
            curl.stdin.write(f'url = "{quoted}"\n'.encode())
            curl.stdin.close()
            content, complaint = _output_of(curl, limit, timeout + 5, cancellation)
        finally:
            curl.kill()
    if len(content) > limit or curl.returncode == 0:
        return content
    raise _curl_failure(url, curl.returncode, complaint)


def _output_of(
    curl: subprocess.Popen[bytes], limit: int, timeout: float, cancellation: Cancellation
) -> tuple[bytes, str]:
    """Its output, up to the limit, and its error output."""
    assert curl.stdout
    assert curl.stderr
    written: dict[int, bytes] = {curl.stdout.fileno(): b"", curl.stderr.fileno(): b""}
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for descriptor in written:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            cancellation.check()
            if time.monotonic() > deadline:
                raise _too_late(timeout)
            for key, _ in selector.select(_INTERVAL):
                data = os.read(key.fd, 4096)
                written[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
                elif len(written[key.fd]) > limit:
                    return written[curl.stdout.fileno()], ""
    curl.wait()
    content, complaint = written.values()
    return content, complaint.decode(errors="replace").strip()


def _curl_failure(url: str, code: int, complaint: str) -> WebFailure:
    if code == _COULD_NOT_RESOLVE:
        # curl does not distinguish a name that does not exist from one that cannot be looked up now.
        return _not_resolved(urlsplit(url).hostname or url, temporary=True)
    return WebFailure(complaint or f"curl ends with {code}", temporary=code in _PASSING_EXIT_CODES)
