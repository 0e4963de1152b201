"""Every command that is run on the conversion server is made here, and quoted by one function.

They are for a POSIX sh: the remote shell is one whatever the login shell is.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from p2v_tui.session.remote_directory import RemoteDirectory

SUDO = ("sudo", "-n")
# How long virt-v2v may take to clean up after SIGTERM before it is killed: it deletes what it made on the target.
STOP_SECONDS = 20


def quote(*words: str) -> str:
    """The words as one shell command, each of them exactly one argument whatever it holds."""
    return " ".join(shlex.quote(word) for word in words)


def as_root(sudo: bool, *words: str) -> str:
    return quote(*(SUDO if sudo else ()), *words)


def start_shell(token: str) -> str:
    """Turns the login shell into sh and says so; for any login shell that knows `exec` and single quotes.

    The token is put together by sh, so that a shell that echoes its commands cannot fake it.
    """
    return f"""exec /bin/sh -c 'printf "\\n%s%s\\n" {token[:4]} {token[4:]}; exec /bin/sh'"""


def set_locale() -> str:
    """virt-v2v's messages are parsed: they must not be translated."""
    return "LC_ALL=C; export LC_ALL; unset LANGUAGE"


def virt_v2v_version(sudo: bool) -> str:
    return as_root(sudo, "virt-v2v", "--version")


def virt_v2v_features(sudo: bool) -> str:
    return as_root(sudo, "virt-v2v", "--machine-readable")


def may_kill_as_root() -> str:
    return quote(*SUDO, "-l", "kill")


def program_paths() -> str:
    """Where sudo would find the programs that sudoers must allow."""
    return "PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin; command -v virt-v2v; env which kill"


def make_directory(directory: RemoteDirectory) -> str:
    return f"umask 077; {quote('mkdir', '-m', '0700', directory.path)} && date >{quote(directory.file('time'))}"


def write_file(path: str) -> str:
    """Stores what it reads, in base64, with mode 0600. What cannot be stored whole is removed."""
    return f"umask 077; base64 -d >{quote(path)} || {{ {quote('rm', '-f', path)}; exit 1; }}"


def remove_files(paths: Sequence[str]) -> str:
    return quote("rm", "-f", *paths)


def wrapper_script(
    directory: RemoteDirectory, virt_v2v: Sequence[str], *, sudo: bool, secret_files: Sequence[str]
) -> str:
    """The script that runs virt-v2v apart from the control connection: output to the log, exit code to `status`.

    TERM has a handler that does nothing, so that the script outlives virt-v2v and writes its status; a child does
    not inherit a handler. HUP is ignored by all.
    """
    return f"""#!/bin/sh
# Written by p2v-tui. Runs virt-v2v once; to stop it: kill -TERM -- -$(cat pid)
cd {quote(directory.path)} || exit 1
umask 077
trap '' HUP
trap : TERM INT
{set_locale()}
echo $$ >pid.new && mv pid.new pid
printenv >environment
{as_root(sudo, "virt-v2v", "--version")} </dev/null >v2v-version 2>&1
umask 022
{as_root(sudo, *virt_v2v)} </dev/null >>{quote(directory.log)} 2>&1
code=$?
umask 077
{remove_files(secret_files) if secret_files else ":"}
echo $code >status.new && mv status.new status
"""


def start_wrapper(directory: RemoteDirectory) -> str:
    """Starts the wrapper in a session of its own and returns as soon as it has said its process id."""
    wrapper, pid = quote(directory.wrapper), quote(directory.pid)
    return f"""umask 077; >{quote(directory.log)} || exit
setsid /bin/sh {wrapper} </dev/null >/dev/null 2>&1 &
tries=0
while [ ! -s {pid} ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
[ -s {pid} ]"""


def read_progress(directory: RemoteDirectory, offset: int, limit: int) -> str:
    """First a line `running`, `ended CODE` or `gone`, then up to `limit` bytes of the log from `offset` on.

    The state is read before the log: once it says that virt-v2v ended, the log is complete.
    """
    status, pid, log = quote(directory.status), quote(directory.pid), quote(directory.log)
    return f"""alive=gone; kill -0 "$(cat {pid} 2>/dev/null)" 2>/dev/null && alive=running
if [ -s {status} ]; then echo ended "$(cat {status})"; else echo $alive; fi
tail -c +{offset + 1} {log} 2>/dev/null | head -c {limit}"""


def stop_wrapper(directory: RemoteDirectory, *, sudo: bool) -> str:
    """Ends virt-v2v's whole process group: TERM, then KILL. Status 0 when nothing of it is left."""
    kill = as_root(sudo, "kill")
    return f"""group=$(cat {quote(directory.pid)} 2>/dev/null) || exit 0
case $group in ''|0|1|*[!0-9]*) exit 0 ;; esac
alive() {{ kill -s 0 "$group" 2>/dev/null || {kill} -s 0 -- -"$group" 2>/dev/null; }}
alive || exit 0
{kill} -s TERM -- -"$group"
tries=0
while alive; do
  tries=$((tries + 1))
  [ $tries -eq {STOP_SECONDS * 5} ] && {kill} -s KILL -- -"$group"
  [ $tries -gt {STOP_SECONDS * 5 + 25} ] && exit 1
  sleep 0.2
done
exit 0"""
