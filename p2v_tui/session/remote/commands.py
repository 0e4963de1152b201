"""Makes every command that runs on the conversion server, quoted by one function.

They are for a POSIX sh, which the remote shell is whatever the login shell is. Only the survey before a conversion, a
long script, is elsewhere: `survey_command.py`.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence

from p2v_tui.kinds import Secret
from p2v_tui.secrecy import HIDDEN, SECRET_WORDS
from p2v_tui.session.remote.directory import PARENT, RemoteDirectory

SUDO = ("sudo", "-n")
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
# For sed: the account's variables are stored for later questions, without secrets.
_HIDE_VARIABLES = ";".join(rf"s/^\([^=]*{word.upper()}[^=]*\)=.*/\1={HIDDEN}/" for word in SECRET_WORDS)
_END_OF_FILE = "P2V-END-OF-FILE"
# How long virt-v2v may take after SIGTERM before it is killed: it deletes what it made on the target.
STOP_SECONDS = 20
# The exit codes of timeout(1) after TERM and after KILL.
TIMED_OUT = (124, 137)
# The same for the children of a virt-v2v that was killed.
LEFT_SECONDS = 5
# How long the account's profile may take, in seconds.
PROFILE_SECONDS = 5
# Exit statuses of store_in_home and read_from_home.
FILE_EXISTS = 17
NO_FILE = 18
# Exit status of start_relay without a usable Python.
NO_PYTHON = 3
# timeout(1)'s own, when the time is over.
CUT_OFF = 124
RELAY_STATUS_SIZE = 64 * 1024
MACHINE_RECORD_SIZE = 256 * 1024


def quote(*words: str) -> str:
    """The words as one shell command, each exactly one argument whatever it contains."""
    return " ".join(shlex.quote(word) for word in words)


def as_root(sudo: bool, *words: str, keeping: Sequence[str] = ()) -> str:
    """keeping: the variables for sudo to pass on, which its SETENV allows."""
    kept = [f"--preserve-env={','.join(keeping)}"] if keeping else []
    return quote(*((*SUDO, *kept) if sudo else ()), *words)


def environment_file(variables: Mapping[str, Secret]) -> bytes:
    """A script that exports these variables."""
    return b"".join(b"export %s=%s\n" % (name.encode(), _quoted(secret)) for name, secret in variables.items())


def _quoted(secret: Secret) -> bytes:
    return b"'%s'" % secret.encode().replace(b"'", b"'\\''")


def _announce(token: str, program: str) -> str:
    """Replaces the login shell with `program` and announces that; for any login shell with `exec` and single quotes.

    The token is put together by sh, so that a shell that echoes its commands cannot fake it.
    """
    return f"""exec /bin/sh -c 'printf "\\n%s%s\\n" {token[:4]} {token[4:]}; exec {program}'"""


def start_shell(token: str) -> str:
    return _announce(token, "/bin/sh")


def hold_tunnel(token: str) -> str:
    """Announces that the login and its forwarding are complete; ends with the connection."""
    return _announce(token, "cat >/dev/null")


def hold_port_tunnel(token: str, port_file: str) -> str:
    """The same for a tunnel that ends in a port: first stores a line that tells the relay about it.

    The line comes on standard input, as it is secret and known only then.
    """
    store = 'umask 077; read -r line && printf "%s\\n" "$line" >"$1.new" && mv "$1.new" "$1" || exit'
    said = f'printf "\\n%s%s\\n" {token[:4]} {token[4:]}'
    return f"exec /bin/sh -c '{store}; {said}; exec cat >/dev/null' sh {quote(port_file)}"


def set_locale() -> str:
    """virt-v2v's messages are parsed, so they must not be translated."""
    return "LC_ALL=C; export LC_ALL; unset LANGUAGE"


def login_environment(token: str, seconds: int) -> str:
    """Prints our environment, a line with the token, and the environment of the account's login shell.

    Each `NAME=value` ends with NUL. The start-up files get no input, their output is dropped, and they are killed
    after `seconds`: then, or if they end the shell, the token is missing. csh takes no command with -l, and closes
    inherited files except the standard three.
    """
    dump = f'printf "\\n%s%s\\n" {token[:4]} {token[4:]}; exec env -0'
    return f"""env -0 || exit
limit='timeout -k 1 {seconds}'
$limit true || exit
case ${{SHELL##*/}} in
  csh|tcsh) printf '%s\\n' {quote(f"exec /bin/sh -c {quote(dump)}")} | $limit "$SHELL" -l 2>/dev/null ;;
  *) $limit "${{SHELL:-/bin/sh}}" -l -c {quote(f"exec /bin/sh -c {quote(dump)} >&3")} 3>&1 >/dev/null 2>&1 ;;
esac"""


def virt_v2v_version(sudo: bool, keeping: Sequence[str] = ()) -> str:
    return as_root(sudo, "virt-v2v", "--version", keeping=keeping)


def virt_v2v_features(sudo: bool) -> str:
    return as_root(sudo, "virt-v2v", "--machine-readable")


def may_kill_as_root() -> str:
    return quote(*SUDO, "-l", "kill")


def program_paths() -> str:
    """Prints where sudo would find the programs that sudoers must allow."""
    return "PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin; command -v virt-v2v; env which kill"


def make_directory(directory: RemoteDirectory, machine: str) -> str:
    """machine: the machine that it belongs to, in one line."""
    line = f"{machine}\n"
    return f"""umask 077
{quote("mkdir", "-m", "0700", directory.path)} && {quote("mkdir", directory.secrets)} || exit
{quote("printf", "%s", line)} >{quote(directory.machine)} || exit
date >{quote(directory.file("time"))} || exit
cat {_BOOT_ID} >{quote(directory.boot)} 2>/dev/null || :"""


def write_files(files: Mapping[str, bytes]) -> str:
    """Stores each content at its path, mode 0600. A file that is not stored whole is removed and its path printed."""
    script = ["umask 077"]
    for path, content in files.items():
        encoded = base64.encodebytes(content).decode()
        failed = f"{{ {quote('rm', '-f', path)}; {quote('echo', path)}; exit 1; }}"
        script.append(f"base64 -d >{quote(path)} <<'{_END_OF_FILE}' || {failed}\n{encoded}{_END_OF_FILE}")
    return "\n".join(script)


def store_in_home(name: str, content: bytes, *, replace: bool) -> str:
    """Stores a file in the account's home directory, mode 0600, and prints its path. Ends with FILE_EXISTS if it is
    there and not to be replaced.
    """
    encoded = base64.encodebytes(content).decode()
    file = quote(f"./{name}")
    exists = f"[ -d {file} ]" if replace else f"[ -e {file} ] || [ -L {file} ]"
    put = f'mv -f "$new" {file}' if replace else f'ln "$new" {file} && rm -f "$new"'
    return f"""umask 077; cd || exit
! {{ {exists}; }} || exit {FILE_EXISTS}
new=$(mktemp ./.p2v-tui-XXXXXXXX) || exit
trap 'rm -f "$new"' EXIT
base64 -d >"$new" <<'{_END_OF_FILE}' || exit
{encoded}{_END_OF_FILE}
sync "$new" 2>/dev/null
{put} || exit
printf '%s/%s\\n' "$PWD" {quote(name)}"""


def read_from_home(name: str, limit: int) -> str:
    """Prints up to `limit` bytes of a file in the account's home directory, in base64."""
    file = quote(f"./{name}")
    return f"cd || exit; [ -f {file} ] || exit {NO_FILE}; head -c {limit} {file} | base64"


def list_home(suffix: str) -> str:
    """Prints the names of the files in the account's home directory that end so and do not start with a dot."""
    return f'cd || exit; for file in *{quote(suffix)}; do [ ! -f "$file" ] || printf \'%s\\n\' "$file"; done'


def remove_directory(directory: RemoteDirectory) -> str:
    """Tries twice: a relay that was just told to end may write its last status meanwhile."""
    remove = quote("rm", "-rf", directory.path)
    return f"{remove} 2>/dev/null || {{ sleep 1; {remove}; }}"


def remove_secrets(directory: RemoteDirectory) -> str:
    return quote("rm", "-rf", directory.secrets)


def list_files(paths: Sequence[str]) -> str:
    """Prints inode, size, time of the last write and path of each existing file, a line each."""
    return f"{quote('stat', '-c', '%i %s %Y %n', '--', *paths)} 2>/dev/null" if paths else ":"


def wrapper_script(
    directory: RemoteDirectory,
    virt_v2v: Sequence[str],
    *,
    sudo: bool,
    outputs: Sequence[str] = (),
    variables: Sequence[str] = (),
    keeping: Sequence[str] = (),
) -> str:
    """The script that runs virt-v2v detached from the control connection: output to the log, exit code to `status`.

    outputs: the files that virt-v2v will make, listed before and after to tell which are its own. The script's first
    argument is virt-v2v's umask: the account's own. variables: the names of those in `directory.environment`.
    keeping: the account's variables for sudo to pass on.

    A virt-v2v that is killed leaves its children running: its appliance, nbdkit, nbdcopy. The script ends all that is
    left in its process group, except itself and the children that search for it.

    TERM has an empty handler, so that the script outlives virt-v2v and writes its status; children do not inherit
    handlers. All ignore HUP. The reserve keeps room for the status if virt-v2v fills the file system.
    """
    kill = as_root(sudo, "kill")
    return f"""#!/bin/sh
# Written by p2v-tui. Runs virt-v2v once; to stop it: kill -TERM -- -$(cat pid)
cd {quote(directory.path)} || exit 1
umask 077
trap '' HUP
trap : TERM INT
{set_locale()}
echo $$ >pid.new && mv pid.new pid
printenv | sed '{_HIDE_VARIABLES}' >environment
head -c 65536 /dev/zero >reserve
{as_root(sudo, "virt-v2v", "--version")} </dev/null >v2v-version 2>&1
{list_files(outputs)} >{quote(directory.output_before)}
umask "$1"
{f". {quote(directory.environment)}" if variables else ":"}
{as_root(sudo, *virt_v2v, keeping=(*keeping, *variables))} </dev/null >>{quote(directory.log)} 2>&1
code=$?
umask 077
rm -f reserve
left() {{
  others=; set -- $(sed -n 's/^\\([0-9]*\\) (.*) [^Z] \\([0-9]*\\) '$$' .*/\\1 \\2/p' /proc/[0-9]*/stat 2>/dev/null)
  while [ $# -ge 2 ]; do [ "$1" = $$ ] || [ "$2" = $$ ] || others="$others $1"; shift 2; done
  [ -n "$others" ]
}}
if [ $code -ne 0 ] && left; then
  {kill} -s TERM -- -$$
  tries=0
  while left && [ $tries -lt {LEFT_SECONDS * 5} ]; do sleep 0.2; tries=$((tries + 1)); done
  left && {kill} -s KILL $others
fi
{list_files(outputs)} >{quote(directory.output_after)}
{remove_secrets(directory)}
echo $code >status.new && mv status.new status
kill -s USR1 "$(cat {quote(directory.relay_pid)} 2>/dev/null)" 2>/dev/null
"""


def start_wrapper(directory: RemoteDirectory) -> str:
    """Starts the wrapper in its own session and returns as soon as it has written its process id.

    virt-v2v gets the umask of a login, which the account's profile may set. It is read from a file, because programs
    that a profile starts would hold a pipe open.
    """
    wrapper, pid = quote(directory.wrapper), quote(directory.pid)
    return f"""limit='timeout -s KILL {PROFILE_SECONDS}'
umask=$(umask); mask={quote(directory.file("umask"))}
$limit true 2>/dev/null && $limit "${{SHELL:-/bin/sh}}" -l -c umask </dev/null >"$mask" 2>/dev/null
said=$(sed -n '/^[0-7]\\{{3,4\\}}$/p' "$mask" 2>/dev/null | tail -n 1); rm -f "$mask"
umask 077; >{quote(directory.log)} || exit
setsid /bin/sh {wrapper} "${{said:-$umask}}" </dev/null >/dev/null 2>&1 &
tries=0
while [ ! -s {pid} ] && [ $tries -lt 200 ]; do sleep 0.05; tries=$((tries + 1)); done
[ -s {pid} ]"""


def find_python(limit: str = "") -> str:
    """Shell lines that set $python to one that can run the relay, or to nothing. limit: a prefix that limits the
    time.

    The relay is packed with zlib.
    """
    return f"""python=
for program in python3 /usr/libexec/platform-python; do
  {limit} $program -I -c 'import sys, zlib; sys.exit(sys.version_info < (3, 6))' >/dev/null 2>&1 || continue
  python=$program
  break
done"""


def start_relay(directory: RemoteDirectory, disks: int, timeout: int, *, many_clients: bool) -> str:
    """Starts the relay in its own session; prints its first status.

    timeout: for how many seconds it waits for a lost tunnel. Exit status NO_PYTHON if no Python there can run it.
    """
    status, pid, log = quote(directory.relay_status), quote(directory.relay_pid), quote(directory.relay_log)
    words = [directory.relay, directory.path, str(disks), str(timeout)]
    if many_clients:
        words.append("--many-clients")
    return f"""umask 077
{find_python()}
[ -n "$python" ] || exit {NO_PYTHON}
echo $$ >{quote(directory.control_pid)}
setsid /bin/sh -c 'echo $$ >"$0"; exec "$@"' {pid} $python -I {quote(*words)} </dev/null >/dev/null 2>{log} &
tries=0
while [ ! -s {status} ] && [ $tries -lt 200 ]; do
  sleep 0.05; tries=$((tries + 1))
  [ ! -s {pid} ] || kill -0 "$(cat {pid})" 2>/dev/null || break
done
[ -s {status} ] || {{ cat {log}; exit 1; }}
head -c {RELAY_STATUS_SIZE} {status}"""


def wait_for_relay(directory: RemoteDirectory, seconds: int, waiting: str) -> str:
    """Waits up to `seconds` until the relay has reached every disk through its tunnel; then prints its status.

    waiting: the state of a disk that was not reached yet.
    """
    status, word = quote(directory.relay_status), quote(f'"{waiting}"')
    return f"""tries=0
while grep -q {word} {status} && [ $tries -lt {seconds * 20} ]; do sleep 0.05; tries=$((tries + 1)); done
head -c {RELAY_STATUS_SIZE} {status}"""


def read_disk(directory: RemoteDirectory, port: int, seconds: int) -> str:
    """Reads a disk at a loopback port for up to `seconds`. Exit status 0 if it was read whole; CUT_OFF if not, and
    then the relay's status is printed.
    """
    # A hole would not be read.
    read = f"nbdcopy --no-extents --connections=1 nbd://localhost:{port} null:"
    return f"""timeout {seconds} {read} >/dev/null 2>&1
code=$?
[ $code -eq {CUT_OFF} ] || exit $code
sleep 1; head -c {RELAY_STATUS_SIZE} {quote(directory.relay_status)}
exit {CUT_OFF}"""


def tunnel_sockets(directory: RemoteDirectory) -> str:
    """Lists the directory, with the sockets in which tunnels have ended so far."""
    return f"cd {quote(directory.path)} && ls"


def clients_of(port: int) -> str:
    """Prints the user id of the other end of each connection to a loopback port, a line each.

    The account's own comes first, and alone if the kernel's table cannot be read. The kernel reports an end without
    an owner as root's, in any state.
    """
    return f"""id -u
remote=$(printf %04X {port})
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | while read -r _ _ other _ _ _ _ user _; do
  case $other in *:$remote) echo "$user" ;; esac
done"""


def mark_told(directory: RemoteDirectory) -> str:
    return f"(umask 077; : >{quote(directory.told)})"


def earlier_conversions() -> str:
    """Lists this account's conversions whose end was not reported yet: name, state, relay, machine record.

    The state: `unstarted`, or as in `read_progress`. The relay: `alive` or `dead`, then its status in base64 or `-`.
    Only the account's own directories count: anybody may make one in /tmp.
    """
    return f"""cd {quote(PARENT)} || exit 0
for name in virt-p2v-[0-9]*-????????; do
  [ -d "$name" ] && [ ! -L "$name" ] && [ -O "$name" ] && [ -f "$name/machine" ] && [ ! -e "$name/told" ] || continue
  state=unstarted
  if [ -s "$name/pid" ]; then
    state=gone; kill -0 "$(cat "$name/pid")" 2>/dev/null && state=running
    [ ! -s "$name/boot" ] || [ "$(cat "$name/boot")" = "$(cat {_BOOT_ID})" ] || state=rebooted
    [ ! -s "$name/status" ] || state=ended-$(cat "$name/status")
  fi
  relay=dead; kill -0 "$(cat "$name/relay.pid" 2>/dev/null)" 2>/dev/null && relay=alive
  printf '%s %s %s ' "$name" "$state" "$relay"
  if [ -s "$name/relay.status" ]; then head -c {RELAY_STATUS_SIZE} "$name/relay.status" | base64 | tr -d '\\n'
  else printf -- -; fi
  printf ' '; head -n 1 "$name/machine" | head -c {MACHINE_RECORD_SIZE}; echo
done"""


def read_outputs(directory: RemoteDirectory) -> str:
    """Prints the guest's files before virt-v2v ran, an empty line, and those after it ended."""
    return f"cat {quote(directory.output_before)} 2>/dev/null; echo; cat {quote(directory.output_after)} 2>/dev/null"


def remove_files(paths: Sequence[str]) -> str:
    return quote("rm", "-f", "--", *paths)


def read_progress(directory: RemoteDirectory, offset: int, limit: int) -> str:
    """Prints the state in two lines, then up to `limit` bytes of the log from `offset` on.

    The first line: `running`, `ended CODE`, `gone` (killed), `unstarted`, `rebooted` or `missing` (the directory).
    The second: `alive`, `dead` or `none` for the relay, and its status. The relay is checked first, so if it is dead
    while virt-v2v runs, the wrapper did not end it. The state is read before the log, so when it says that virt-v2v
    ended, the log is complete. A server that shuts down ends virt-v2v first; the state is `rebooted` all the same,
    unless virt-v2v had succeeded.
    """
    status, pid, log = quote(directory.status), quote(directory.pid), quote(directory.log)
    boot, relay_pid, relay_status = quote(directory.boot), quote(directory.relay_pid), quote(directory.relay_status)
    return f"""relay=none; [ ! -s {relay_pid} ] || relay=dead
kill -0 "$(cat {relay_pid} 2>/dev/null)" 2>/dev/null && relay=alive
relay="$relay $(head -c {RELAY_STATUS_SIZE} {relay_status} 2>/dev/null | tr -d '\\n')"
alive=gone; kill -0 "$(cat {pid} 2>/dev/null)" 2>/dev/null && alive=running
[ ! -s {boot} ] || [ "$(cat {boot})" = "$(cat {_BOOT_ID})" ] || alive=rebooted
[ -s {pid} ] || [ $alive != gone ] || alive=unstarted
[ -d {quote(directory.path)} ] || alive=missing
ended=$(cat {status} 2>/dev/null)
case $alive:$ended in *: | rebooted:[!0]*) echo $alive ;; *) echo ended "$ended" ;; esac
printf '%s\\n' "$relay"
tail -c +{offset + 1} {log} 2>/dev/null | head -c {limit}"""


def stop_wrapper(directory: RemoteDirectory, *, sudo: bool) -> str:
    """Ends the relay and virt-v2v's whole process group: TERM, then KILL. Status 0 if nothing is left.

    After hours or a restart a process id may belong to another program: a live one must have our command line. That
    is empty for an ended process that was not collected yet.
    """
    kill = as_root(sudo, "kill")
    return f"""{remove_secrets(directory)}
ours() {{
  case $1 in ''|0|1|*[!0-9]*) return 1 ;; esac
  case $(tr 2>/dev/null '\\0' ' ' <"/proc/$1/cmdline") in ''|*"$2"*) ;; *) return 1 ;; esac
}}
relay=$(cat {quote(directory.relay_pid)} 2>/dev/null)
ours "$relay" {quote(directory.relay)} && kill -s TERM "$relay" 2>/dev/null
group=$(cat {quote(directory.pid)} 2>/dev/null)
ours "$group" {quote(directory.wrapper)} || exit 0
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
