"""The settings: one declarative table from which everything else derives.

A setting is one field of `Settings`, declared with its full name, aliases, kind (how it is parsed and printed), help
and default (`setting.py`). The kernel command line (`cmdline.py`), the dump (`setting_texts.py`), the tables in docs/
and the form fields all read `SETTINGS`. `session/plan/` checks what a setting names on a machine (does that disk
exist?).

The names, the aliases and the meaning of a value are those of virt-p2v 1.42 (generate-p2v-config.pl, virt-p2v(1)),
except where the declaration says that a setting is new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2v_tui.kinds import (
    ACCEPTED_WARNINGS,
    BOOLEAN,
    COMMAND,
    FINGERPRINTS,
    GUEST_NAME,
    IDENTITY_URL,
    KEYS,
    MEMORY,
    NETWORK_MAP,
    OPTIONS,
    OUTPUT_MODE,
    ROOT,
    SECRET,
    SERVER,
    USER_NAME,
    AcceptedWarnings,
    KeySource,
    Kind,
    NetworkMap,
    Secret,
    choice,
    list_of,
    matching,
    number,
    text,
)
from p2v_tui.setting import Setting, declare, declared

_FROM_MACHINE: Final = "the physical machine's"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the operator asked for. None means not given: the default of the machine or of the mode holds."""

    server: str | None = declare(
        "remote.server",
        "server",
        kind=SERVER,
        example="192.0.2.10",
        help="The conversion server: the machine where virt-v2v runs. Given on the kernel command line or by "
        "--cmdline, it makes p2v-tui convert unattended, without the screens.",
    )
    port: int = declare(
        "remote.port",
        "port",
        kind=number(1, 65535, "PORT"),
        default=22,
        example="2222",
        help="The SSH port of the conversion server.",
    )
    hostkey: tuple[str, ...] | None = declare(
        "remote.hostkey",
        "hostkey",
        kind=FINGERPRINTS,
        peer=False,
        default_words="the key of the first connection, for the whole run",
        example="SHA256:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
        help="Pins the conversion server's host key. A server that shows another key is refused before anything is "
        "sent to it. Give several where the server has several keys.",
    )
    username: str = declare(
        "auth.username",
        "username",
        kind=USER_NAME,
        default="root",
        example="conv",
        help="The account to log in to on the conversion server. virt-v2v runs as this user, or as root with "
        "p2v.sudo.",
    )
    password: Secret | None = declare(
        "auth.password",
        "password",
        kind=SECRET,
        default_words="asked for once, where there is a terminal",
        example="secret",
        help="The password of that account. Not used when p2v.identity is given.",
    )
    identity_url: str | None = declare(
        "auth.identity.url",
        "identity",
        kind=IDENTITY_URL,
        example="https://192.0.2.1/id_ed25519",
        help="Log in with the SSH private key at this URL, which must have no passphrase. p2v-tui reads http, https "
        "and file itself, and leaves all others to curl(1). p2v.password is not used then.",
    )
    sudo: bool = declare(
        "auth.sudo",
        "sudo",
        kind=BOOLEAN,
        default=False,
        help="Run virt-v2v as root, with sudo. sudo must not ask for a password.",
    )
    guestname: str | None = declare(
        "guestname",
        "name",
        kind=GUEST_NAME,
        default_words="the machine's host name, else a random one",
        example="db1",
        help="The name of the guest. Its disks and its description are named after it, too.",
    )
    phys_topo: bool = declare(
        "vcpu.phys_topo",
        kind=BOOLEAN,
        default=False,
        help="Give the guest the same sockets, cores and threads as this machine has. p2v.vcpu.cores is not used "
        "then.",
    )
    vcpus: int | None = declare(
        "vcpu.cores",
        kind=number(1, 4096),
        default_words="the machine's online logical processors",
        example="8",
        help="How many virtual CPUs the guest gets. The old name p2v.vcpus (virt-p2v before 1.42.3) works as well.",
        old_names=("vcpus",),
    )
    memory: int | None = declare(
        "memory",
        kind=MEMORY,
        default_words="the memory installed in the machine",
        example="16G",
        help="How much memory the guest gets.",
    )
    cpu_vendor: str | None = declare(
        "cpu.vendor",
        kind=text("VENDOR", "a CPU vendor that libvirt knows, such as Intel or AMD"),
        default_words=_FROM_MACHINE,
        example="Intel",
        help="The vendor that the guest's CPU reports.",
    )
    cpu_model: str | None = declare(
        "cpu.model",
        kind=text("MODEL", "a CPU model that libvirt knows, such as IvyBridge"),
        default_words="virt-v2v's choice",
        example="IvyBridge",
        help="The model of the guest's CPU.",
    )
    cpu_acpi: bool | None = declare(
        "cpu.acpi",
        kind=BOOLEAN,
        default_words=_FROM_MACHINE,
        help="Give the guest ACPI.",
    )
    cpu_apic: bool | None = declare(
        "cpu.apic",
        kind=BOOLEAN,
        default_words=_FROM_MACHINE,
        help="Give the guest an APIC.",
    )
    cpu_pae: bool | None = declare(
        "cpu.pae",
        kind=BOOLEAN,
        default_words=_FROM_MACHINE,
        help="Give the guest PAE.",
    )
    rtc_basis: str | None = declare(
        "rtc.basis",
        kind=choice("unknown", "utc", "localtime"),
        default_words=_FROM_MACHINE,
        example="utc",
        help="What the real-time clock shows: UTC or local time. It has no effect: virt-v2v does not read it.",
    )
    rtc_offset: int | None = declare(
        "rtc.offset",
        kind=number(-86400, 86400, "SECONDS"),
        default_words=_FROM_MACHINE,
        example="3600",
        help="By how many seconds the real-time clock is off. It has no effect: virt-v2v does not read it.",
    )
    disks: tuple[str, ...] | None = declare(
        "disks",
        kind=list_of(
            "sda,sdb,...",
            "names of fixed disks (sda, serial:SERIAL, wwn:WWN, /dev/disk/by-id/...) or absolute paths of disk "
            "images, separated by commas",
        ),
        default_words="all that are built in",
        example="sda,serial:S3Z8NB0K",
        help="The disks to convert. The guest boots from the first one. sda can be another disk after the next boot: "
        "/dev/disk/by-id/..., /dev/disk/by-path/..., serial:SERIAL and wwn:WWN name the same disk at every boot.",
    )
    removable: tuple[str, ...] | None = declare(
        "removable",
        kind=list_of("sr0,...", "names of CD, DVD and floppy drives, separated by commas"),
        default_words="as many as a guest has room for, without those of a management controller",
        example="sr0",
        help="The CD, DVD and floppy drives that the guest gets. They are empty. A guest has room for four CD or DVD "
        "drives and two floppy drives. A name that this machine does not have is left out, with a note.",
    )
    interfaces: tuple[str, ...] | None = declare(
        "interfaces",
        kind=list_of("em1,...", "names of network interfaces, separated by commas"),
        default_words="all physical ones",
        example="em1,em2",
        help="The network interfaces that the guest gets. A name that this machine does not have is left out, with a "
        "note, so that one line fits several kinds of machines. If it has none of them, that is a warning.",
    )
    network_map: NetworkMap | None = declare(
        "network_map",
        "network",
        kind=NETWORK_MAP,
        default_words="the network `default` for all",
        example="em1:lan,em2:storage,other",
        help="The network that each interface is connected to. p2v.network=em1:rhevm,em2:management,other connects "
        "em1 to rhevm, em2 to management and all others to other. An interface that this machine does not have "
        "is left out, with a note.",
    )
    output_type: str = declare(
        "output.type",
        "o",
        kind=OUTPUT_MODE,
        default="local",
        example="libvirt",
        help="Where the guest goes: to files, libvirt, oVirt, OpenStack, ... (virt-v2v's -o).",
    )
    output_allocation: str = declare(
        "output.allocation",
        "oa",
        kind=choice("none", "sparse", "preallocated"),
        default="none",
        default_words="virt-v2v's own",
        example="sparse",
        help="Whether the guest's disks take up only what they hold (sparse) or their whole size (virt-v2v's -oa).",
    )
    output_connection: str | None = declare(
        "output.connection",
        "oc",
        kind=text("URI", "a URI as the output mode wants it"),
        example="qemu:///system",
        help="The service that the guest is sent to, such as oVirt's or OpenStack's API (virt-v2v's -oc).",
    )
    output_format: str | None = declare(
        "output.format",
        "of",
        kind=Kind(
            "(raw|qcow2)",
            "raw or qcow2",
            matching(r"[a-z0-9]+", "is not a disk format"),
            str,
            choices=("raw", "qcow2"),
        ),
        default_words="virt-v2v's own",
        example="qcow2",
        help="The format of the guest's disks (virt-v2v's -of).",
    )
    output_storage: str | None = declare(
        "output.storage",
        "os",
        kind=text("STORAGE", "a directory, pool or storage as the output mode wants it"),
        default_words="/var/tmp where the mode takes a directory, else none",
        example="/srv/guests",
        help="Where the guest's disks are stored: a directory of the conversion server, a pool, a storage domain "
        "(virt-v2v's -os).",
    )
    output_misc: tuple[str, ...] = declare(
        "output.misc",
        "oo",
        kind=OPTIONS,
        default=(),
        default_words="none",
        example="rhv-cluster=Default,rhv-verifypeer=true",
        help="More options of the output mode (virt-v2v's -oo). Other users of the server do not see OpenStack's "
        "secrets, such as os-password: virt-v2v gets them in its environment.",
    )
    output_password: Secret | None = declare(
        "output.password",
        "op",
        kind=SECRET,
        peer=False,
        example="secret",
        help="The password for p2v.oc (virt-v2v's -op). On the server it is in a file that only virt-v2v's user can "
        "read, and that is removed at the end.",
    )
    keys: tuple[KeySource, ...] = declare(
        "key",
        kind=KEYS,
        peer=False,
        default=(),
        example="sda2:https://192.0.2.1/sda2.key",
        help="Unlocks an encrypted volume (LUKS or BitLocker) for virt-v2v, with the key at this URL. Give it once "
        "for each volume. The key is tried on the volume before the start. On the server it is in a file that "
        "is removed at the end.",
    )
    root: str = declare(
        "root",
        kind=ROOT,
        peer=False,
        default="first",
        example="/dev/sda2",
        help="Which operating system to convert, on a machine with several (virt-v2v's --root).",
    )
    nbd: str | None = declare(
        "nbd",
        kind=choice("nbdkit", "qemu-nbd"),
        peer=False,
        default_words="nbdkit, else qemu-nbd",
        example="qemu-nbd",
        help="The program that serves the disks to virt-v2v, read-only.",
    )
    target_firmware: str = declare(
        "target.firmware",
        kind=choice("auto", "bios", "uefi"),
        peer=False,
        default="auto",
        default_words="auto: as the machine boots, if that is certain; otherwise virt-v2v finds out",
        example="uefi",
        help="Whether the guest boots with BIOS or UEFI.",
    )
    pre: str | None = declare(
        "pre",
        kind=COMMAND,
        dumped=False,
        example="/root/stop-services",
        help="A command that runs on this machine before the conversion. If it fails, nothing is converted.",
    )
    post: str | None = declare(
        "post",
        kind=COMMAND,
        dumped=False,
        default_words="poweroff, if p2v-tui runs as root and took its settings from /proc/cmdline; otherwise nothing",
        example="systemctl poweroff",
        help="A command that runs on this machine after a successful conversion.",
    )
    fail: str | None = declare(
        "fail",
        kind=COMMAND,
        dumped=False,
        example="curl https://192.0.2.1/failed",
        help="A command that runs on this machine after any failure, also when there was no connection.",
    )
    reconnect: int = declare(
        "reconnect",
        kind=number(0, 7 * 24 * 3600, "SECONDS"),
        peer=False,
        default=3600,
        default_words="3600, an hour",
        example="600",
        help="For how many seconds p2v-tui tries to reconnect before it gives the conversion up. virt-v2v waits that "
        "long for its disks. Unattended, p2v-tui tries the first connection that long, too.",
    )
    skip_test_connection: bool = declare(
        "skip_test_connection",
        kind=BOOLEAN,
        default=False,
        dumped=False,
        help="Start without waiting for the network and without testing the connection.",
    )
    accept_warnings: AcceptedWarnings = declare(
        "accept_warnings",
        kind=ACCEPTED_WARNINGS,
        default=AcceptedWarnings(),
        default_words="false: no check",
        peer=False,
        example="space,clock",
        help="Convert despite the warnings of these checks: p2v.accept_warnings=space,clock. It does not help "
        "against a check that refuses.",
    )
    debug: bool = declare(
        "debug",
        kind=BOOLEAN,
        default=False,
        dumped=False,
        help="Write full debugging output of virt-v2v (-v -x) to the conversion log.",
    )
    dump_config_and_exit: bool = declare(
        "dump_config_and_exit",
        kind=BOOLEAN,
        default=False,
        dumped=False,
        help="Print all settings, with this machine's defaults filled in and secrets hidden, and exit.",
    )
    dry_run: bool = declare(
        "dry_run",
        kind=BOOLEAN,
        default=False,
        peer=False,
        dumped=False,
        help="Only check whether the conversion can start, as --dry-run does. It changes nothing, runs no command "
        "and leaves the machine on.",
    )
    interactive: bool = declare(
        "interactive",
        kind=BOOLEAN,
        default=False,
        peer=False,
        dumped=False,
        help="Open the screens, filled in, even if p2v.server is given.",
    )
    # Settings of the live image only (live-image/root) are declared too, so that they cause no warning.
    ssh_key: str | None = declare(
        "ssh_key",
        kind=text('"KEY"', "a public key as ssh-keygen writes it, in double quotes, or the URL of a file with keys"),
        peer=False,
        dumped=False,
        default_words="none: nobody can log in over the network",
        example="ssh-ed25519 AAAA... operator",
        help="On the live image: lets you log in to this machine as root by SSH, with this key "
        "(docs/live-image-boot.md).",
    )
    shell: bool = declare(
        "shell",
        kind=BOOLEAN,
        default=False,
        peer=False,
        dumped=False,
        help="On the live image: opens a shell on every console, instead of the screens or the conversion. Give it "
        "without a value.",
    )


# Settings for this boot of the live image, not for the conversion.
BOOT_SETTINGS: Final = ("interactive", "ssh_key", "shell")

SETTINGS: Final[tuple[Setting, ...]] = declared(Settings)
BY_KEY: Final[dict[str, Setting]] = {
    f"p2v.{key}": setting for setting in SETTINGS for key in (setting.name, *setting.aliases, *setting.old_names)
}
