"""Every command that is run on the conversion server is made here, and quoted by one function.

They are for a POSIX sh: the remote shell is one whatever the login shell is. Only the survey before a conversion, a
script of some length, has a room of its own: `survey_command.py`.
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
# For sed: the account's own variables are stored, for later questions, but not what is secret among them.
_HIDE_VARIABLES = ";".join(rf"s/^\([^=]*{word.upper()}[^=]*\)=.*/\1={HIDDEN}/" for word in SECRET_WORDS)
_END_OF_FILE = "P2V-END-OF-FILE"
# How long virt-v2v may take to clean up after SIGTERM before it is killed: it deletes what it made on the target.
STOP_SECONDS = 20
# What timeout(1) ends with: by TERM, by KILL.
TIMED_OUT = (124, 137)
# The same for what a virt-v2v leaves that was killed itself.
LEFT_SECONDS = 5
# How long the account's profile may take, in seconds.
PROFILE_SECONDS = 5
# Exit status of start_relay where there is no Python.
NO_PYTHON = 3
RELAY_STATUS_SIZE = 64 * 1024
MACHINE_RECORD_SIZE = 256 * 1024


def quote(*words: str) -> str:
    """The words as one shell command, each of them exactly one argument whatever it holds."""
    return " ".join(shlex.quote(word) for word in words)


def as_root(sudo: bool, *words: str, keeping: Sequence[str] = ()) -> str:
    """keeping: the variables that sudo is to pass on, which its SETENV allows."""
    kept = [f"--preserve-env={','.join(keeping)}"] if keeping else []
    return quote(*((*SUDO, *kept) if sudo else ()), *words)


def environment_file(variables: Mapping[str, Secret]) -> bytes:
    """A script that gives these variables to whatever is started after it."""
    return b"".join(b"export %s=%s\n" % (name.encode(), _quoted(secret)) for name, secret in variables.items())


def _quoted(secret: Secret) -> bytes:
    return b"'%s'" % secret.encode().replace(b"'", b"'\\''")


def _announce(token: str, program: str) -> str:
    """Turns the login shell into `program` and says so; for any login shell that knows `exec` and single quotes.

    The token is put together by sh, so that a shell that echoes its commands cannot fake it.
    """
    return f"""exec /bin/sh -c 'printf "\\n%s%s\\n" {token[:4]} {token[4:]}; exec {program}'"""


def start_shell(token: str) -> str:
    return _announce(token, "/bin/sh")


def hold_tunnel(token: str) -> str:
    """Says that the login is complete, and with it the forwarding that was asked for; ends with the connection."""
    return _announce(token, "cat >/dev/null")


def hold_port_tunnel(token: str, port_file: str) -> str:
    """The same for a tunnel that ends in a port: first it stores a line, which tells the relay of it.

    The line comes on standard input, because only then it is known, and it is secret.
    """
    store = 'umask 077; read -r line && printf "%s\\n" "$line" >"$1.new" && mv "$1.new" "$1" || exit'
    said = f'printf "\\n%s%s\\n" {token[:4]} {token[4:]}'
    return f"exec /bin/sh -c '{store}; {said}; exec cat >/dev/null' sh {quote(port_file)}"


def set_locale() -> str:
    """virt-v2v's messages are parsed: they must not be translated."""
    return "LC_ALL=C; export LC_ALL; unset LANGUAGE"


def login_environment(token: str, seconds: int) -> str:
    """Our environment, the token in a line of its own, and the one that the account's login shell makes.

    Each `NAME=value` ends with NUL. The start-up files get no input, what they print goes nowhere, and after
    `seconds` they are ended: then, and where they end the shell, the token is missing. csh takes no command with -l,
    and closes what it inherits but its three files.
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
    """Where sudo would find the programs that sudoers must allow."""
    return "PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin; command -v virt-v2v; env which kill"


def make_directory(directory: RemoteDirectory, machine: str) -> str:
    """machine: whose it is, in one line."""
    line = f"{machine}\n"
    return f"""umask 077
{quote("mkdir", "-m", "0700", directory.path)} && {quote("mkdir", directory.secrets)} || exit
{quote("printf", "%s", line)} >{quote(directory.machine)} || exit
date >{quote(directory.file("time"))} || exit
cat {_BOOT_ID} >{quote(directory.boot)} 2>/dev/null || :"""


def write_files(files: Mapping[str, bytes]) -> str:
    """Stores each content at its path, with mode 0600. One that cannot be stored whole is removed and named."""
    script = ["umask 077"]
    for path, content in files.items():
        encoded = base64.encodebytes(content).decode()
        failed = f"{{ {quote('rm', '-f', path)}; {quote('echo', path)}; exit 1; }}"
        script.append(f"base64 -d >{quote(path)} <<'{_END_OF_FILE}' || {failed}\n{encoded}{_END_OF_FILE}")
    return "\n".join(script)


def remove_directory(directory: RemoteDirectory) -> str:
    """A relay that was just told to end may write its last status while the directory is being removed."""
    remove = quote("rm", "-rf", directory.path)
    return f"{remove} 2>/dev/null || {{ sleep 1; {remove}; }}"


def remove_secrets(directory: RemoteDirectory) -> str:
    return quote("rm", "-rf", directory.secrets)


def list_files(paths: Sequence[str]) -> str:
    """Inode, size, time of the last write and path of each that is there, a line each."""
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
    """The script that runs virt-v2v apart from the control connection: output to the log, exit code to `status`.

    outputs: the files that virt-v2v will make, so that it is known afterwards which are its own. The script's first
    argument is the umask that virt-v2v gets: the account's own. variables: those that virt-v2v gets from
    `directory.environment`, by name. keeping: those of the account's that sudo is to pass on to it.

    A virt-v2v that is killed leaves what it had started: its appliance, nbdkit, nbdcopy. All that is left in its
    process group, but for the script and the children that look for it, is ended.

    TERM has a handler that does nothing, so that the script outlives virt-v2v and writes its status; a child does
    not inherit a handler. HUP is ignored by all. The reserve is room for the status where virt-v2v has filled the
    file system.
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
    """Starts the wrapper in a session of its own and returns as soon as it has said its process id.

    virt-v2v gets the umask that the account has when it logs in: its profile may set it. Into a file and not a pipe,
    which whatever a profile starts would hold open.
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
    """Shell lines that set $python to one that can run the relay, or to nothing. limit: the words of a time limit.

    The relay is packed with zlib.
    """
    return f"""python=
for program in python3 /usr/libexec/platform-python; do
  {limit} $program -I -c 'import sys, zlib; sys.exit(sys.version_info < (3, 6))' >/dev/null 2>&1 || continue
  python=$program
  break
done"""


def start_relay(directory: RemoteDirectory, disks: int, timeout: int, *, many_clients: bool) -> str:
    """Starts the relay in a session of its own; its output is its first status.

    timeout: for how many seconds it waits for a lost tunnel. Exit status NO_PYTHON where the server has none that
    can run it.
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
    """Waits until the relay has reached every disk through its tunnel, or so long; its output is the status then.

    waiting: the state of a disk that it has not reached.
    """
    status, word = quote(directory.relay_status), quote(f'"{waiting}"')
    return f"""tries=0
while grep -q {word} {status} && [ $tries -lt {seconds * 20} ]; do sleep 0.05; tries=$((tries + 1)); done
head -c {RELAY_STATUS_SIZE} {status}"""


def tunnel_sockets(directory: RemoteDirectory) -> str:
    """The names of the sockets in which tunnels have ended so far."""
    return f"cd {quote(directory.path)} && ls"


def clients_of(port: int) -> str:
    """Who holds the other ends of the connections to a port of the loopback: a user's number for each, a line each.

    First comes the account's own, then nothing more where the kernel's table cannot be read. An end that nobody owns
    any more is root's, in whatever state it is.
    """
    return f"""id -u
remote=$(printf %04X {port})
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | while read -r _ _ other _ _ _ _ user _; do
  case $other in *:$remote) echo "$user" ;; esac
done"""


def mark_told(directory: RemoteDirectory) -> str:
    return f"(umask 077; : >{quote(directory.told)})"


def earlier_conversions() -> str:
    """The conversions of this account of whose end nobody was told, a line each: name, state, relay, machine record.

    The state: `unstarted`, or as in `read_progress`. The relay: `alive` or `dead`, and then its status in base64, or
    `-`; the record comes last. Only directories of the account's own are looked at: anybody may make one in /tmp.
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
    """The guest's files that were there before virt-v2v ran, an empty line, and those when it had ended."""
    return f"cat {quote(directory.output_before)} 2>/dev/null; echo; cat {quote(directory.output_after)} 2>/dev/null"


def remove_files(paths: Sequence[str]) -> str:
    return quote("rm", "-f", "--", *paths)


def read_progress(directory: RemoteDirectory, offset: int, limit: int) -> str:
    """How it stands, in two lines, then up to `limit` bytes of the log from `offset` on.

    The first line: `running`, `ended CODE`, `gone` (killed), `unstarted`, `rebooted` or `missing` (the directory).
    The second: `alive`, `dead` or `none` of the relay, and its status.
    The relay is looked at first: one that is dead while virt-v2v runs was not ended by the wrapper. The state is read
    before the log: once it says that virt-v2v ended, the log is complete. A server that shuts down ends virt-v2v
    first: then it is `rebooted` all the same, unless virt-v2v had succeeded.
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
    """Ends the relay and virt-v2v's whole process group: TERM, then KILL. Status 0 when nothing of it is left.

    A process id may be another program's by now, hours or a restart later: one that is alive has to be ours by its
    command line, which is empty while a process that has ended is not collected.
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
