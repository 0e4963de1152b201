"""A machine booted by PXE that converts itself as its kernel command line says, with all that goes wrong on the way.

Nobody is at it: what the test does meanwhile it does by SSH, with the key that the command line gives, and on the
consoles, which all show what the conversion says.
"""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.boot import boot_until_login
from tests.lab.by_keyboard import press
from tests.lab.conversion_server import ConversionServer, identity
from tests.lab.guest_disk import guest_disk, private_copy
from tests.lab.machine import Bus, Disk, Hardware, Machine, NetworkCard
from tests.lab.ports import free_port
from tests.live_image.conftest import LiveImage

BOOT_SECONDS = 600.0
STEP_SECONDS = 300.0
CONVERSION_SECONDS = 1500.0
_REST = r"[\s\S]*"

_CONSOLES = "console=tty0 console=ttyS0,115200n8"
# Names in the order of the cards, so that they can be written down; an address by DHCP, one of our own with a route
# and a name server, and one in a VLAN.
_NETWORK = (
    "net.ifnames=0 ip=eth0:dhcp ip=192.0.2.7::192.0.2.1:255.255.255.0:pxe-machine:eth1:none:192.0.2.53 "
    "vlan=eth2.5:eth2 ip=198.51.100.7:::255.255.255.0::eth2.5:none rd.route=203.0.113.0/24:192.0.2.254"
)


class Access:
    """SSH to the machine by the key of p2v.ssh_key."""

    def __init__(self, directory: Path) -> None:
        self.key = identity(directory, name="access")
        self.port = free_port()
        self._known_hosts = directory / "known_hosts"

    @property
    def network_option(self) -> str:
        return f"hostfwd=tcp:127.0.0.1:{self.port}-:22"

    def run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        words = ["ssh", "-F", "none", "-i", str(self.key.private_key), "-p", str(self.port)]
        words += ["-o", f"UserKnownHostsFile={self._known_hosts}", "-o", "StrictHostKeyChecking=accept-new"]
        words += ["-o", "BatchMode=yes", "-o", "ConnectTimeout=60", *options, "root@127.0.0.1", command]
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=STEP_SECONDS, check=False
        )

    def said(self, command: str) -> str:
        """What a command prints on the machine, where it must succeed."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def fingerprint(self) -> str:
        """The host key that ssh has met."""
        listed = subprocess.run(
            ["ssh-keygen", "-l", "-f", self._known_hosts], capture_output=True, text=True, timeout=60, check=True
        )
        return listed.stdout.split()[1]


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A directory and the port on which it is served over HTTP, to the machine too."""
    directory = tmp_path / "web"
    directory.mkdir()
    answer = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield directory, server.server_address[1]
        server.shutdown()
        thread.join()


def network_directory(live_image: LiveImage, directory: Path, words: str) -> Path:
    """What the TFTP server serves, as the build has made it, with these words in the place of the example's."""
    shutil.copytree(live_image.network, directory, copy_function=shutil.copyfile)
    configuration = directory / "pxelinux.cfg" / "default"
    text, count = re.subn(r"(?m)^(  APPEND .*?)console=.*$", rf"\1{words}", configuration.read_text())
    assert count, text
    configuration.write_text(text.replace("TIMEOUT 100", "TIMEOUT 10"))
    return directory


def test_a_machine_that_boots_by_pxe_converts_itself_and_powers_itself_off(
    live_image: LiveImage, web_server: tuple[Path, int], tmp_path: Path
) -> None:
    web, web_port = web_server
    key, access = identity(tmp_path), Access(tmp_path)
    shutil.copy(key.private_key, web / "id")
    output = tmp_path / "out"
    output.mkdir()
    disk = private_copy(guest_disk(), tmp_path)
    with ConversionServer(authorized=[key.public_key]) as server:
        settings = (
            f"p2v.server=10.0.2.2 p2v.port={server.port} p2v.identity=http://10.0.2.2:{web_port}/id "
            # A server that does not answer is waited for, and virt-v2v waits as long for its disks.
            f"p2v.hostkey={server.fingerprint} p2v.name=by-pxe p2v.os={output} p2v.reconnect=90 "
            'p2v.fail="echo p2v.fail was here" p2v.accept_warnings '
            f'p2v.ssh_key="{access.key.public_key.read_text().strip()}"'
        )
        tftp = network_directory(live_image, tmp_path / "tftp", f"{_CONSOLES} {_NETWORK} {settings}")
        hardware = Hardware(
            disks=[Disk(disk, Bus.SCSI)],
            network_cards=[
                NetworkCard(tftp=tftp, boot_file="pxelinux.0", boot=True, options=[access.network_option]),
                NetworkCard(),
                NetworkCard(),
            ],
            virtio_console=True,
        )
        # Nobody answers at first.
        server.stop()
        with Machine(hardware) as machine:
            serial, hypervisor = machine.console, machine.line("hvc0")
            # It scrolls away while the server is waited for.
            shown = serial.wait_for(r"the host key is SHA256:(\s*[A-Za-z0-9+/]){43}", BOOT_SECONDS)
            for terminal in (serial, hypervisor):
                terminal.wait_for(
                    rf"p2v\.fail was here{_REST}exit code 3: no connection{_REST}switch the machine off", BOOT_SECONDS
                )
            check_access(access, shown)
            check_network(access)

            # An operator comes, looks at the screens, which are filled in, and leaves them again.
            hypervisor.press("Enter")
            hypervisor.wait_for(rf">\s*Conversion server: \[10\.0\.2\.2 *\]{_REST}{server.port}", STEP_SECONDS)
            hypervisor.press("Escape")
            hypervisor.wait_for(r"Leave p2v-tui\?", STEP_SECONDS)
            press(hypervisor, "Leave", timeout=STEP_SECONDS)
            hypervisor.wait_for(rf"exit code 6: cancelled{_REST}switch the machine off", STEP_SECONDS)

            server.start()
            hypervisor.type("a\n")
            for terminal in (serial, hypervisor):
                terminal.wait_for(r"To be converted: sda, 671 MB, QEMU HARDDISK", STEP_SECONDS)
            # A shell on one console takes nothing from the other.
            hypervisor.type("s\n")
            hypervisor.wait_for(r"A shell on hvc0", STEP_SECONDS)
            hypervisor.type("echo $((6 * 7))-is-the-answer; exit\n")
            hypervisor.wait_for(r"42-is-the-answer", STEP_SECONDS)

            # p2v-tui dies, and goes on with the conversion that runs on the server.
            serial.wait_for(r"sda: \d+% copied", CONVERSION_SECONDS)
            access.said("pkill -KILL -x p2v-tui")
            serial.wait_for(r"ended by signal 9", STEP_SECONDS)
            machine.wait_until_off(CONVERSION_SECONDS)
    boot_until_login([output / "by-pxe-sda"])


def check_access(access: Access, console: str) -> None:
    """Only the key of the command line lets anybody in, and the consoles show the machine's own.

    console: what the serial line has shown.
    """
    assert access.said("id -un") == "root\n"
    shown = re.search(r"the host key is (SHA256:[A-Za-z0-9+/]{43})", console.replace("\n", ""))
    assert shown and shown[1] == access.fingerprint()
    assert access.fingerprint() in access.said("cat /run/p2v-tui/unattended.log")
    refused = access.run("true", "-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password")
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr
    assert access.said("passwd --status root").split()[1] == "L"


def check_network(access: Access) -> None:
    """The addresses, routes and name servers are those of the kernel command line."""
    addresses = {
        link["ifname"]: {f"{it['local']}/{it['prefixlen']}" for it in link["addr_info"] if it["family"] == "inet"}
        for link in json.loads(access.said("ip -json address"))
    }
    assert addresses["eth0"] == {"10.0.2.15/24"}
    assert addresses["eth1"] == {"192.0.2.7/24"}
    assert addresses["eth2.5"] == {"198.51.100.7/24"}
    assert addresses["eth2"] == set()
    routes = {(route["dst"], route.get("gateway")) for route in json.loads(access.said("ip -json route"))}
    assert {("default", "10.0.2.2"), ("default", "192.0.2.1"), ("203.0.113.0/24", "192.0.2.254")} <= routes
    assert "nameserver 192.0.2.53" in access.said("cat /etc/resolv.conf")
    assert access.said("hostname") == "pxe-machine\n"
