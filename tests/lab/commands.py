"""Runs the laboratory's external programs, with a time limit that ends their children too.

Only for programs that end by themselves; servers and guests, which keep running, have their own modules.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class LabFailure(Exception):
    """The laboratory cannot do what was asked. The text says what happened and, if possible, what to do."""


def program(name: str) -> str:
    """The absolute path of a program; also searches the directories that only root has on the PATH.

    Raises LabFailure, which says how to install a missing one.
    """
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=search)
    if found is None:
        raise LabFailure(f"The program {name} is not installed; `make setup` installs what the laboratory needs.")
    return found


def run_command(
    arguments: Sequence[str | Path],
    *,
    timeout: float,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    log: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> str:
    """Run one program to its end and return what it printed, standard error included.

    timeout: seconds; then the program and every process in its group are killed.
    environment: added to this process's own.
    log: gets the whole output, also if the program fails.
    pass_fds: file descriptors that the program inherits.
    Raises LabFailure with the last lines of the output if the program fails or takes too long.
    """
    command = [str(argument) for argument in arguments]
    # In a new session, so that the whole group can be killed, and ^C reaches only us; we then kill the group.
    process = subprocess.Popen(
        [program(command[0]), *command[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=directory,
        env={**os.environ, **(environment or {}), "LC_ALL": "C.UTF-8"},
        start_new_session=True,
        pass_fds=pass_fds,
    )
    try:
        output, _ = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        end_process_group(process)
        partial = error.output.decode(errors="replace") if isinstance(error.output, bytes) else (error.output or "")
        raise LabFailure(f"{command[0]} had not ended after {timeout:.0f} s.\n{last_lines(partial)}") from error
    except BaseException:
        end_process_group(process)
        raise
    if log is not None:
        log.write_text(output)
    if process.returncode != 0:
        raise LabFailure(f"{command[0]} failed with exit code {process.returncode}.\n{last_lines(output)}")
    return output


def end_process_group(process: subprocess.Popen[str]) -> None:
    """Kill a process group by its leader, and wait for the leader."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    # Not communicate(), since a grandchild that left the group may keep the pipe open for ever.
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(BrokenPipeError):
            if pipe is not None:
                pipe.close()


def last_lines(text: str, count: int = 20) -> str:
    """The end of a long output, for an error message."""
    return "\n".join(text.rstrip().splitlines()[-count:])
