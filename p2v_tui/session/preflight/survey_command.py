"""The one remote command that asks the conversion server everything that the preflight needs. It runs with the login
user's rights and cannot hang: whatever touches a file system or a daemon that may be dead runs under timeout(1).
`server_facts.py` parses its output.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from p2v_tui.session.remote.commands import find_python
from p2v_tui.session.remote.directory import PARENT

# For each part that may hang on the server.
PART_SECONDS = 5

# Sets $limit, which limits a command to that time. Without timeout(1) on the server it is empty.
LIMIT = f"limit='timeout -s KILL {PART_SECONDS}'; $limit true 2>/dev/null || limit="

# Where virt-v2v 2.2 looks for UEFI firmware (common/mlv2v/uefi.ml): code and variables.
_UEFI = (
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
)


# The variables that the survey uses.
_READ_HERE = ("VIRT_V2V_TMPDIR", "LIBGUESTFS_CACHEDIR", "TMPDIR", "VIRTIO_WIN", "VIRT_TOOLS_DATA_DIR")


@dataclass(frozen=True)
class Libvirt:
    """What to ask libvirt on the server. connection: its URI; None for the default one. pool, domain: names."""

    connection: str | None
    pool: str
    domain: str


def survey(
    *,
    sudo: bool,
    kept: Sequence[str] = (),
    storage: str | None = None,
    files: Sequence[str] = (),
    libvirt: Libvirt | None = None,
) -> str:
    """The command. sudo: virt-v2v runs under it, so as root, and gets only the variables in `kept`.

    storage: the directory for the guest's disks; with `libvirt` it is the pool's. files: the names of the guest's
    files in it.
    """
    return "\n".join(
        [
            _basics(sudo=sudo, kept=kept),
            f"storage={shlex.quote(storage or '')}",
            _PROGRAMS,
            _MACHINE,
            _windows_and_uefi(),
            _survey_libvirt(libvirt) if libvirt else "",
            f"files={shlex.quote(_lines(files))}",
            f"logs={shlex.quote(PARENT)}",
            _PLACES,
            _TIME_OUTS,
            "echo end yes",
        ]
    )


def _lines(words: Sequence[str]) -> str:
    return "\n".join(words)


def _basics(*, sudo: bool, kept: Sequence[str]) -> str:
    """Sets up virt-v2v's environment, so that the same programs are found, and $limit."""
    lost = [name for name in _READ_HERE if name not in kept]
    return f"""sudo={"yes" if sudo else "no"}
echo clock "$(date +%s)"
root=$sudo; [ "$(id -u)" != 0 ] || root=yes
echo root $root
echo user "$(id -un)"
if [ $sudo = yes ]; then
  # It gives virt-v2v an environment of its own.
  unset x {" ".join(lost)}
  PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
fi
{LIMIT}"""


# Each plugin is loaded, which takes some milliseconds: the file may be of the wrong version.
_PROGRAMS = f"""try() {{
  program=$1; shift
  $limit "$@" >/dev/null 2>&1
  case $? in 0) echo program $program yes ;; 124|137) ;; *) echo program $program no ;; esac
}}
try nbdkit nbdkit --version
try nbdkit-nbd nbdkit nbd --version
try nbdkit-file nbdkit file --version
try nbdkit-cow nbdkit --filter=cow nbd --version
try nbdcopy nbdcopy --version
try qemu-img qemu-img --version
try qemu-nbd qemu-nbd --version
{find_python("$limit")}
if [ -n "$python" ]; then echo program python yes; else echo program python no; fi
# virt-v2v connects to `localhost`; the relay listens on 127.0.0.1 and ::1.
if command -v getent >/dev/null; then
  echo localhost $($limit getent ahosts localhost | sed "s/[[:space:]].*//" | sort -u)
fi"""

# MemAvailable and SwapFree are in KiB. supermin takes a kernel from any of these places by default.
_MACHINE = r"""sed -n 's/^MemAvailable: *\([0-9]*\) kB$/memory \1/p
  s/^SwapFree: *\([0-9]*\) kB$/swap \1/p' /proc/meminfo
kvm=denied
[ -e /dev/kvm ] || kvm=missing
if [ -e /dev/kvm ] && { [ $root = yes ] || { [ -r /dev/kvm ] && [ -w /dev/kvm ]; }; }; then kvm=usable; fi
echo kvm $kvm
kernel=missing
for file in /boot/vmlinu[xz]-* /lib/modules/*/vmlinuz; do
  [ -e "$file" ] || continue
  if [ $root = yes ] || [ -r "$file" ]; then kernel=usable; break; fi
  kernel=denied
done
for file in /usr/lib*/guestfs/README.fixed /usr/lib/*/guestfs/README.fixed; do
  [ ! -e "$file" ] || kernel=
done
[ -n "$SUPERMIN_KERNEL$LIBGUESTFS_PATH" ] || [ -z "$kernel" ] || echo kernel $kernel"""


def _windows_and_uefi() -> str:
    pairs = " ".join(shlex.quote(f"{code} {variables}") for code, variables in _UEFI)
    return f"""uefi=no
for pair in {pairs}; do
  [ ! -e "${{pair% *}}" ] || [ ! -e "${{pair#* }}" ] || uefi=yes
done
echo uefi $uefi
there() {{
  word=$1; shift
  for file; do [ ! -e "$file" ] || {{ echo $word yes; return; }}; done
  echo $word no
}}
there virtio-win "${{VIRTIO_WIN:-/usr/share/virtio-win}}"
tools=${{VIRT_TOOLS_DATA_DIR:-/usr/share/virt-tools}}
there windows-service "$tools/rhsrvany.exe" "$tools/pvvxsvc.exe"
there ntfs /usr/bin/ntfs-3g /bin/ntfs-3g /usr/sbin/mount.ntfs-3g /sbin/mount.ntfs-3g \\
  /usr/lib*/guestfs/supermin.d/*winsupport* /usr/lib/*/guestfs/supermin.d/*winsupport*"""


def ask_libvirt(connection: str | None) -> str:
    """Defines ask_libvirt, a read-only virsh, which libvirt allows to every user. Needs $limit, and $root as `yes` or
    `no`: virt-v2v's default connection is the system's for root and the session's for others.
    """
    return f"""uri={shlex.quote(connection or "")}
[ -n "$uri" ] || [ $root = no ] || uri=qemu:///system
ask_libvirt() {{ $limit virsh -r ${{uri:+-c "$uri"}} "$@" 2>&1; }}"""


# libvirt writes the path as XML.
_DECODE = r"""sed "s/&lt;/</g; s/&gt;/>/g; s/&quot;/\"/g; s/&apos;/'/g; s/&amp;/\&/g" """.strip()


def _survey_libvirt(libvirt: Libvirt) -> str:
    """Prints nothing if libvirt does not answer."""
    return f"""{ask_libvirt(libvirt.connection)}
try virsh virsh --version
if command -v virsh >/dev/null; then
  if domains=$(ask_libvirt list --all --name); then
    taken=no; printf '%s\\n' "$domains" | grep -Fxq -e {shlex.quote(libvirt.domain)} && taken=yes
    echo domain $taken
    if pool=$(ask_libvirt pool-dumpxml {shlex.quote(libvirt.pool)}); then
      pool_type=$(printf '%s\\n' "$pool" | sed -n "s/^<pool type='\\([a-z-]*\\)'.*/\\1/p" | head -n 1)
      storage=$(printf '%s\\n' "$pool" | sed -n 's:^ *<path>\\(.*\\)</path>.*:\\1:p' | head -n 1 | {_DECODE})
      echo pool "${{pool_type:-other}}" "$storage"
    else
      case $pool in *'failed to get pool'*) echo pool missing ;; esac
    fi
  fi
fi"""


# Each file system in its own shell under the time limit, as a dead NFS server blocks every access. btrfs has a device
# number for each subvolume, so df's source tells whether two places share their space.
_PLACES = r"""look='
word=$1; directory=$2; root=$3; files=$4
kind=missing; [ ! -e "$directory" ] || kind=no-directory
[ ! -d "$directory" ] || kind=read-only
[ ! -d "$directory" ] || [ ! -w "$directory" ] || [ ! -x "$directory" ] || kind=there
if [ "$kind" = missing ]; then
  above=$directory
  while [ ! -d "$above" ] && [ "$above" != "${above%/*}" ]; do above=${above%/*}; done
  [ -x "${above:-/}" ] || kind=unreachable
fi
# What the login user may do does not say what root may.
if [ "$root" = yes ] && [ "$(id -u)" != 0 ]; then
  case $kind in read-only) kind=there ;; unreachable) kind= ;; esac
fi
if [ "$kind" = there ] || [ "$kind" = read-only ]; then
  point=$(df -P "$directory" | sed -n "\$s/.*% //p")
  while read -r _ mounted _ options _; do
    [ "$mounted" != "$point" ] || flags=$options
  done </proc/mounts
  case $flags in ro | ro,*) kind=read-only-file-system ;; esac
fi
[ -z "$kind" ] || echo directory "$word" "$kind" "$directory"
[ -z "$files" ] || printf "%s\n" "$files" | while IFS= read -r file; do
  [ ! -e "$directory/$file" ] || echo existing $(stat -L -c "%s %Y" "$directory/$file") "$file"
done
set -- $(stat -L -f -c "%a %S %c %d" "$directory"; stat -L -c %d "$directory")
[ $# -eq 5 ] || exit
source=$(df -P "$directory" | sed -n "\$s/ .*//p")
echo space $word $* "${source:--}" "$directory"
'
look_at() { $limit sh -c "$look" sh "$1" "$2" $root "$3" 2>/dev/null; }
[ -z "$storage" ] || look_at storage "$storage" "$files"
look_at overlay "${VIRT_V2V_TMPDIR:-${LIBGUESTFS_CACHEDIR:-${TMPDIR:-/var/tmp}}}"
[ -z "$TMPDIR" ] || look_at temporary "$TMPDIR"
look_at logs "$logs"
"""

# sshd takes the first value; Debian and Fedora include the directory first. Settings after a Match are not for all.
_TIME_OUTS = r"""[ -z "$TMOUT" ] || echo tmout "$TMOUT"
for file in /etc/ssh/sshd_config.d/*.conf /etc/ssh/sshd_config; do
  [ ! -r "$file" ] || tr A-Z a-z <"$file" | sed -n '/^[[:space:]]*match[[:space:]]/q
    s/^[[:space:]]*\(clientalive[a-z]*\)[[:space:]=]\{1,\}\([0-9a-z]*\).*/\1 \2/p'
done"""
