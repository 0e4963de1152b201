"""Runs the build's external programs, and reports missing ones."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from imagebuild.errors import BuildError

_SEARCH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
_LAST_LINES = 15


def require(packages_of_programs: Mapping[str, str]) -> None:
    """Raises BuildError with the Debian packages to install unless all these programs are there."""
    missing = {
        package for program, package in packages_of_programs.items() if not shutil.which(program, path=_SEARCH)
    }
    if missing:
        names = " ".join(sorted(missing))
        raise BuildError(
            f"These Debian packages are missing: {names}", f"apt-get install --no-install-recommends {names}"
        )


def run(
    command: Sequence[str | Path],
    *,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Runs a program to its end and returns its output, standard error included. Raises BuildError when it fails.

    on_line: called with each line as it comes.
    """
    with _started(command, stdin=subprocess.PIPE, environment=environment, directory=directory) as process:
        assert process.stdin and process.stdout
        with _ended_with_us(process):
            _feed(process.stdin, stdin)
            output: list[str] = []
            for line in process.stdout:
                output.append(line)
                if on_line:
                    on_line(line.rstrip())
    _check(command, process.returncode, output)
    return "".join(output)


def pipe(
    source: Sequence[str | Path],
    sink: Sequence[str | Path],
    *,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Runs `source | sink`. Raises BuildError if either fails.

    stdin, environment: the source's; on_line gets its standard error.
    """
    words = [str(word) for word in source]
    with (
        subprocess.Popen(
            [_program(words[0]), *words[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=_environment(environment),
        ) as first,
        _started(sink, stdin=first.stdout, environment=None) as second,
    ):
        assert first.stdin and first.stdout and first.stderr and second.stdout
        with _ended_with_us(first), _ended_with_us(second):
            # The sink's end must be the only one, or its death would not be noticed.
            first.stdout.close()
            _feed(first.stdin, stdin)
            said: list[str] = []
            for line in first.stderr:
                said.append(line)
                if on_line:
                    on_line(line.rstrip())
            answered = second.stdout.read()
    # If the sink dies first, the source does, too; if the source does, the sink complains about half an archive.
    _check(source, 0 if second.returncode and _broke_pipe(first.returncode) else first.returncode, said)
    _check(sink, second.returncode, [answered])


@contextlib.contextmanager
def _ended_with_us(process: subprocess.Popen[str]) -> Iterator[None]:
    """If we are interrupted, ends the program and waits for it: mmdebstrap has to unmount."""
    try:
        yield
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _feed(stdin: IO[str], text: str) -> None:
    # A program that fails at once does not read it, and says why itself.
    with contextlib.suppress(BrokenPipeError):
        stdin.write(text)
    with contextlib.suppress(BrokenPipeError):
        stdin.close()


def _broke_pipe(code: int) -> bool:
    return code in {-signal.SIGPIPE, 128 + signal.SIGPIPE}


def _started(
    command: Sequence[str | Path],
    *,
    stdin: int | IO[str] | None,
    environment: Mapping[str, str] | None,
    directory: Path | None = None,
) -> subprocess.Popen[str]:
    words = [str(word) for word in command]
    return subprocess.Popen(
        [_program(words[0]), *words[1:]],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=directory,
        env=_environment(environment),
    )


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    # Variables that differ between builders must not change the result.
    kept = {name: value for name, value in os.environ.items() if name not in {"SOURCE_DATE_EPOCH", "LANGUAGE"}}
    return {**kept, "LC_ALL": "C.UTF-8", "PATH": _SEARCH, **(more or {})}


def _program(name: str) -> str:
    found = shutil.which(name, path=_SEARCH)
    if found is None:
        raise BuildError(f"The program {name} is not installed.", "`make image` installs what the build needs.")
    return found


def _check(command: Sequence[str | Path], code: int, output: Iterable[str]) -> None:
    if code != 0:
        end = "".join(deque("".join(output).splitlines(keepends=True), maxlen=_LAST_LINES))
        raise BuildError(f"{command[0]} failed with exit code {code}:\n{end.rstrip()}")
