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
        help="The machine that runs virt-v2v and makes the guest.",
        if_wrong="If it is wrong, the connection test fails and nothing starts.",
        notes="Given on the kernel command line or by --cmdline, it makes p2v-tui convert unattended, without the "
        "screens.",
    )
    port: int = declare(
        "remote.port",
        "port",
        kind=number(1, 65535, "PORT"),
        default=22,
        example="2222",
        help="The SSH port of the conversion server.",
        when="Change it only if sshd on the server does not listen on port 22.",
        if_wrong="If it is wrong, the connection is refused or times out, and nothing starts.",
    )
    hostkey: tuple[str, ...] | None = declare(
        "remote.hostkey",
        "hostkey",
        kind=FINGERPRINTS,
        peer=False,
        default_words="the key of the first connection, for the whole run",
        example="SHA256:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
        help="Pins the conversion server's host key: p2v-tui sends nothing to a server that shows another key.",
        when="Set it for unattended conversions, where nobody is there to compare the key.",
        if_wrong="If it is wrong, the server is refused and nothing starts.",
        notes="`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the server prints it. Give several where the "
        "server has several keys.",
    )
    username: str = declare(
        "auth.username",
        "username",
        kind=USER_NAME,
        default="root",
        example="conv",
        help="The account to log in to on the conversion server. virt-v2v runs as this user, or as root with sudo.",
        when="Change it where root may not log in with a password, which is sshd's default.",
        if_wrong="If it is wrong, the server refuses the login and nothing starts.",
    )
    password: Secret | None = declare(
        "auth.password",
        "password",
        kind=SECRET,
        default_words="asked for once, where there is a terminal",
        example="secret",
        in_field="what you would type for `ssh conv@192.0.2.10`",
        help="The password of the account on the conversion server.",
        when="Leave it out to log in with an SSH key.",
        if_wrong="If it is wrong, the server refuses the login and nothing starts.",
        notes="Not used when p2v.identity is given.",
    )
    identity_url: str | None = declare(
        "auth.identity.url",
        "identity",
        kind=IDENTITY_URL,
        example="https://192.0.2.1/id_ed25519",
        help="The URL of an SSH private key to log in with. The key must have no passphrase.",
        when="Give it in place of the password, for example where the server takes no passwords.",
        if_wrong="If the URL is wrong or the server does not know the key, nothing starts; the message says which.",
        notes="p2v-tui reads http, https and file itself, and leaves all others to curl(1). p2v.password is not used "
        "then.",
    )
    sudo: bool = declare(
        "auth.sudo",
        "sudo",
        kind=BOOLEAN,
        default=False,
        in_field="on for the account conv, off for root",
        help="Runs virt-v2v as root, with sudo.",
        when="Turn it on if the account is not root but the output needs root, as a libvirt pool often does.",
        if_wrong="sudo must not ask for a password there: if it does, the connection test fails.",
    )
    guestname: str | None = declare(
        "guestname",
        "name",
        kind=GUEST_NAME,
        default_words="the machine's host name, else a random one",
        example="db1",
        help="The name of the guest. Its disks and its description are named after it.",
        when="Change it if the guest should not have this machine's host name, or if the server already has a "
        "guest of that name.",
        if_wrong="If the name is taken, p2v-tui warns or refuses before anything starts.",
    )
    phys_topo: bool = declare(
        "vcpu.phys_topo",
        kind=BOOLEAN,
        default=False,
        in_field="on for a database that is licensed per socket",
        help="Gives the guest the same sockets, cores and threads as this machine has.",
        when="Turn it on for software that is licensed per socket or tuned to the machine.",
        if_wrong="If it is wrong, the guest usually runs all the same, and you can change its CPUs after the "
        "conversion.",
        notes="p2v.vcpu.cores is not used then.",
    )
    vcpus: int | None = declare(
        "vcpu.cores",
        kind=number(1, 4096),
        default_words="the machine's online logical processors",
        example="8",
        help="How many virtual CPUs the guest gets.",
        when="Change it if the guest needs fewer than this machine has, or if its host has fewer.",
        if_wrong="Too many make the guest slow or keep it from starting. You can change the number after the "
        "conversion.",
        notes="The old name p2v.vcpus (virt-p2v before 1.42.3) works as well.",
        old_names=("vcpus",),
    )
    memory: int | None = declare(
        "memory",
        kind=MEMORY,
        default_words="the memory installed in the machine",
        example="16G",
        in_field="16384, or 16G",
        help="How much memory the guest gets.",
        when="Change it if the guest's host cannot spare as much as this machine has.",
        if_wrong="With too little or too much the guest may not start. You can change it after the conversion.",
    )
    cpu_vendor: str | None = declare(
        "cpu.vendor",
        kind=text("VENDOR", "a CPU vendor that libvirt knows, such as Intel or AMD"),
        default_words=_FROM_MACHINE,
        example="Intel",
        help="The vendor that the guest's CPU reports.",
        when="Leave it as it is unless the guest must see another one.",
    )
    cpu_model: str | None = declare(
        "cpu.model",
        kind=text("MODEL", "a CPU model that libvirt knows, such as IvyBridge"),
        default_words="virt-v2v's choice",
        example="IvyBridge",
        help="The model of the guest's CPU.",
        when="Set it if the guest has to move between hosts with different CPUs.",
        if_wrong="A guest with a model that its host's CPU cannot provide does not start.",
    )
    cpu_acpi: bool | None = declare(
        "cpu.acpi",
        kind=BOOLEAN,
        default_words=_FROM_MACHINE,
        help="Gives the guest ACPI.",
        if_wrong="A system that was installed with ACPI may not boot without it.",
    )
    cpu_apic: bool | None = declare(
        "cpu.apic",
        kind=BOOLEAN,
        default_words=_FROM_MACHINE,
        help="Gives the guest an APIC.",
        if_wrong="A system that was installed with an APIC may not boot without one.",
    )
    cpu_pae: bool | None = declare(
        "cpu.pae",
        kind=BOOLEAN,
        default_words=_FROM_MACHINE,
        help="Gives the guest PAE.",
        if_wrong="A 32-bit system that uses PAE does not boot without it.",
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
        in_field="check sda, and uncheck sdb if it holds only backups",
        help="The disks to convert. The guest boots from the first one.",
        when="Leave out what the guest does not need. Disks that share a volume group or an array belong together.",
        if_wrong="If a disk is missing, the guest lacks what is on it. The disks are only read, so you can convert "
        "again.",
        notes="sda can be another disk after the next boot: /dev/disk/by-id/..., /dev/disk/by-path/..., "
        "serial:SERIAL and wwn:WWN name the same disk at every boot.",
    )
    removable: tuple[str, ...] | None = declare(
        "removable",
        kind=list_of("sr0,...", "names of CD, DVD and floppy drives, separated by commas"),
        default_words="as many as a guest has room for, without those of a management controller",
        example="sr0",
        in_field="check sr0, and uncheck fd0 if nobody uses floppy disks",
        help="The CD, DVD and floppy drives that the guest gets. They are empty.",
        when="Leave out what nobody will use in the guest.",
        if_wrong="If it is wrong, add or remove drives after the conversion.",
        notes="A guest has room for four CD or DVD drives and two floppy drives. A name that this machine does not "
        "have is left out, with a note.",
    )
    interfaces: tuple[str, ...] | None = declare(
        "interfaces",
        kind=list_of("em1,...", "names of network interfaces, separated by commas"),
        default_words="all physical ones",
        example="em1,em2",
        in_field="check em1, and uncheck em2 if it is a link to storage",
        help="The network interfaces that the guest gets. Each keeps its MAC address.",
        when="Leave out what the guest does not need, such as a link to storage that only this machine uses.",
        if_wrong="If an interface is missing, the guest is not on its network. You can add one after the conversion.",
        notes="A name that this machine does not have is left out, with a note, so that one line fits several kinds "
        "of machines. If it has none of them, that is a warning.",
    )
    network_map: NetworkMap | None = declare(
        "network_map",
        "network",
        kind=NETWORK_MAP,
        default_words="the network `default` for all",
        example="em1:lan,em2:storage,other",
        in_field="lan, or ovirtmgmt for oVirt",
        help="The network that each interface is connected to, by its name where the guest will run.",
        when="Change it if that network is not called default.",
        if_wrong="If no network has that name, the guest does not start, or has no network. Correct the "
        "name in the guest's description then.",
        notes="p2v.network=em1:rhevm,em2:management,other connects em1 to rhevm, em2 to management and all others to "
        "other. An interface that this machine does not have is left out, with a note.",
    )
    output_type: str = declare(
        "output.type",
        "o",
        kind=OUTPUT_MODE,
        default="local",
        example="libvirt",
        in_field="libvirt, if the guest will run on the conversion server",
        help="Where the guest goes: to files, libvirt, oVirt, OpenStack, ... (virt-v2v's -o).",
        when="local makes disk images and a description that you can take anywhere. Choose another mode to store "
        "the guest right where it will run.",
        if_wrong="If it is wrong, the guest ends up in the wrong place: import it by hand or convert again.",
    )
    output_allocation: str = declare(
        "output.allocation",
        "oa",
        kind=choice("none", "sparse", "preallocated"),
        default="none",
        default_words="virt-v2v's own",
        example="sparse",
        in_field="sparse, on storage that is shared by many guests",
        help="Whether the guest's disks take up only what they hold (sparse) or their whole size (preallocated); "
        "virt-v2v's -oa.",
        when="Choose preallocated if the storage must not fill up later.",
        if_wrong="Sparse disks can fill the storage later; preallocated ones need all their room at once.",
    )
    output_connection: str | None = declare(
        "output.connection",
        "oc",
        kind=text("URI", "a URI as the output mode wants it"),
        example="qemu:///system",
        in_field="https://engine.example.com/ovirt-engine/api",
        help="The service that the guest is sent to, such as oVirt's or OpenStack's API (virt-v2v's -oc).",
        when="oVirt needs it. With libvirt, give it only if virt-v2v's user would connect to the wrong one.",
        if_wrong="If it is wrong, virt-v2v does not reach the service and the conversion fails.",
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
        when="Choose qcow2 for snapshots and thin files, raw for block storage and speed.",
        if_wrong="A format that the mode cannot make is refused before the start. You can convert the disks later "
        "with qemu-img.",
    )
    output_storage: str | None = declare(
        "output.storage",
        "os",
        kind=text("STORAGE", "a directory, pool or storage as the output mode wants it"),
        default_words="/var/tmp where the mode takes a directory, else none",
        example="/srv/guests",
        in_field="/srv/guests, or default for a libvirt pool",
        help="Where the guest's disks are stored: a directory of the conversion server, a pool, a storage domain "
        "(virt-v2v's -os).",
        when="Change it if there is too little room: the guest's disks may need as much as this machine's.",
        if_wrong="If a directory or pool is missing, too small or not writable, a check says so before the start.",
    )
    output_misc: tuple[str, ...] = declare(
        "output.misc",
        "oo",
        kind=OPTIONS,
        default=(),
        default_words="none",
        example="rhv-cluster=Default,rhv-verifypeer=true",
        help="More options of the output mode (virt-v2v's -oo).",
        when="Leave it empty unless the mode needs some; virt-v2v(1) on the server explains them.",
        if_wrong="An unknown option is refused before the start. A wrong value may fail only after the copy.",
        notes="Other users of the server do not see OpenStack's secrets, such as os-password: virt-v2v gets them in "
        "its environment.",
    )
    output_password: Secret | None = declare(
        "output.password",
        "op",
        kind=SECRET,
        peer=False,
        example="secret",
        in_field="the password of admin@internal, for oVirt",
        help="The password for the service in -oc (virt-v2v's -op).",
        if_wrong="If it is wrong, the service refuses virt-v2v and the conversion fails.",
        notes="On the server it is in a file that only virt-v2v's user can read, and that is removed at the end.",
    )
    keys: tuple[KeySource, ...] = declare(
        "key",
        kind=KEYS,
        peer=False,
        default=(),
        example="sda2:https://192.0.2.1/sda2.key",
        help="Unlocks an encrypted volume (LUKS or BitLocker) for virt-v2v, with the key at this URL.",
        when="virt-v2v cannot look into such a volume without it.",
        if_wrong="The key is tried on the volume before the start: if it is wrong, nothing starts.",
        notes="Give it once for each volume. On the server it is in a file that is removed at the end.",
    )
    root: str = declare(
        "root",
        kind=ROOT,
        peer=False,
        default="first",
        example="/dev/sda2",
        help="Which operating system to convert, on a machine with several (virt-v2v's --root).",
        when="Set it if virt-v2v would take the wrong one.",
        if_wrong="If that device has no system on it, or there are several with `single`, virt-v2v ends before the "
        "copy.",
    )
    nbd: str | None = declare(
        "nbd",
        kind=choice("nbdkit", "qemu-nbd"),
        peer=False,
        default_words="nbdkit, else qemu-nbd",
        example="qemu-nbd",
        help="The program that serves the disks to virt-v2v, read-only.",
        when="Change it only if the other one does not work on this machine.",
        if_wrong="If it is not installed, nothing starts.",
    )
    target_firmware: str = declare(
        "target.firmware",
        kind=choice("auto", "bios", "uefi"),
        peer=False,
        default="auto",
        default_words="auto: as the machine boots, if that is certain; otherwise virt-v2v finds out",
        example="uefi",
        in_field="bios, for a system that was installed in legacy mode",
        help="Whether the guest boots with BIOS or UEFI.",
        when="auto is usually right. Change it only if you know that the installed system boots otherwise.",
        if_wrong="If it is wrong, the guest does not boot: its firmware finds no boot loader.",
    )
    pre: str | None = declare(
        "pre",
        kind=COMMAND,
        dumped=False,
        example="/root/stop-services",
        help="A command that runs on this machine before the conversion.",
        if_wrong="If it fails, nothing is converted.",
    )
    post: str | None = declare(
        "post",
        kind=COMMAND,
        dumped=False,
        default_words="poweroff, if p2v-tui runs as root and took its settings from /proc/cmdline; otherwise nothing",
        example="systemctl poweroff",
        help="A command that runs on this machine after a successful conversion.",
        if_wrong="If it fails, p2v-tui reports a failure, although the guest was made.",
    )
    fail: str | None = declare(
        "fail",
        kind=COMMAND,
        dumped=False,
        example="curl https://192.0.2.1/failed",
        help="A command that runs on this machine after any failure, also when there was no connection.",
        if_wrong="If it fails itself, that changes nothing.",
    )
    reconnect: int = declare(
        "reconnect",
        kind=number(0, 7 * 24 * 3600, "SECONDS"),
        peer=False,
        default=3600,
        default_words="3600, an hour",
        example="600",
        help="For how many seconds p2v-tui tries to reconnect before it gives the conversion up.",
        when="Raise it on a line with long outages.",
        if_wrong="If it is too short, an outage ends the conversion, and it has to start again.",
        notes="virt-v2v waits that long for its disks. Unattended, p2v-tui tries the first connection that long, "
        "too.",
    )
    skip_test_connection: bool = declare(
        "skip_test_connection",
        kind=BOOLEAN,
        default=False,
        dumped=False,
        help="Starts without waiting for the network and without testing the connection.",
        if_wrong="What the test would have found makes the conversion fail later.",
    )
    accept_warnings: AcceptedWarnings = declare(
        "accept_warnings",
        kind=ACCEPTED_WARNINGS,
        default=AcceptedWarnings(),
        default_words="false: no check",
        peer=False,
        example="space,clock",
        help="Converts despite the warnings of these checks: p2v.accept_warnings=space,clock.",
        when="Set it when you have read the warning and know that it does not matter here.",
        if_wrong="A warning that did matter may cost you the conversion or the guest.",
        notes="It does not help against a check that refuses.",
    )
    debug: bool = declare(
        "debug",
        kind=BOOLEAN,
        default=False,
        dumped=False,
        in_field="on, when you repeat a conversion that has failed",
        help="Writes full debugging output of virt-v2v (-v -x) to the conversion log.",
        when="Turn it on to find out why a conversion fails.",
        if_wrong="It does no harm, but the log becomes very long and needs more room in /tmp on the server.",
    )
    dump_config_and_exit: bool = declare(
        "dump_config_and_exit",
        kind=BOOLEAN,
        default=False,
        dumped=False,
        help="Prints all settings, with this machine's defaults filled in and secrets hidden, and exits.",
    )
    dry_run: bool = declare(
        "dry_run",
        kind=BOOLEAN,
        default=False,
        peer=False,
        dumped=False,
        help="Only checks whether the conversion can start, as --dry-run does. It changes nothing, runs no command "
        "and leaves the machine on.",
    )
    interactive: bool = declare(
        "interactive",
        kind=BOOLEAN,
        default=False,
        peer=False,
        dumped=False,
        help="Opens the screens, filled in, even if p2v.server is given.",
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
    keymap: str | None = declare(
        "keymap",
        kind=text("LAYOUT", "the name of a keyboard layout, such as de, fr or uk"),
        peer=False,
        dumped=False,
        default_words="us: the kernel's own",
        example="de",
        help="The layout of the machine's own keyboard, on the live image.",
        when="Set it if keys print other characters than they show. On a serial line and over SSH your terminal's "
        "own layout counts.",
        if_wrong="If it is wrong, the layout stays the American one, and the screens say so.",
        notes="It is loaded before anything is asked. docs/live-image-boot.md lists the common names.",
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
