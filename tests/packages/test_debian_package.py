"""The Debian package on Debian 12 and 13: it is installed by apt, runs, and leaves nothing behind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2v_tui import __version__
from tests.lab.commands import run_command
from tests.lab.machines import Suite, machine_root

# A slow machine compiles all modules of Textual in it.
SECONDS = 300.0
# What apt, dpkg and man note for themselves.
NOTED = ("/dev", "/proc", "/sys", "/tmp", "/var/cache", "/var/lib/apt", "/var/lib/dpkg", "/var/log")
EVERY_MODULE = (
    "import pkgutil, p2v_tui; [__import__(m.name) for m in pkgutil.walk_packages(p2v_tui.__path__, 'p2v_tui.')]"
)


class Machine:
    """A machine of a Debian release with the package installed: a layer over the release's root, in a directory."""

    def __init__(self, root: Path, directory: Path, package: Path) -> None:
        layers = [directory / name for name in ("merged", "upper", "work")]
        for layer in layers:
            layer.mkdir()
        self._mount = (
            f"mount -t overlay -o lowerdir={root},upperdir={layers[1]},workdir={layers[2]} overlay {layers[0]} && "
            f"mount -t proc proc {layers[0]}/proc && mount --bind /dev {layers[0]}/dev && exec chroot {layers[0]} "
        )
        (layers[1] / "tmp").mkdir(mode=0o1777)
        shutil.copy(package, layers[1] / "tmp/p2v-tui.deb")
        self.before = self.files()
        self.run("env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends /tmp/p2v-tui.deb")

    def run(self, command: str) -> str:
        """What the command prints there. Raises LabFailure where it fails."""
        # /sbin is not on every caller's PATH.
        path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        return run_command(["unshare", "--mount", "sh", "-c", f"{self._mount} env {path} {command}"], timeout=SECONDS)

    def files(self) -> set[str]:
        noted = " -o ".join(f"-path {place}" for place in NOTED)
        return set(self.run(rf"find / \( {noted} \) -prune -o -print").splitlines())


@pytest.fixture(scope="module", params=Suite, ids=lambda suite: suite.value)
def machine(request: pytest.FixtureRequest, debian_package: Path) -> Iterator[Machine]:
    root = machine_root(request.param)
    with tempfile.TemporaryDirectory(prefix="p2v-tui-package-") as directory:
        yield Machine(root, Path(directory), debian_package)


def test_the_commands_run_and_have_the_version(machine: Machine) -> None:
    assert machine.run("p2v-tui --version") == f"p2v-tui {__version__}\n"
    assert "--dry-run" in machine.run("p2v-tui --help")
    assert "Example: " in machine.run("p2v-tui --help p2v.oo")
    assert machine.run("p2v-tui-image --help").startswith("usage: p2v-tui-image ")


def test_every_module_is_there_and_textual_is_the_one_that_the_package_brings(machine: Machine) -> None:
    python = "/usr/lib/p2v-tui/bin/python3 -P -W error -c"
    machine.run(f'{python} "{EVERY_MODULE}"')
    assert machine.run(f'{python} "import textual; print(textual.__file__)"').startswith("/usr/lib/p2v-tui/")
    # No other program gets our Textual.
    assert machine.run("python3 -c 'import importlib.util; print(importlib.util.find_spec(\"textual\"))'") == "None\n"


def test_man_shows_the_manuals_and_the_pages_are_where_help_says(machine: Machine) -> None:
    assert "p2v.output.misc" in machine.run("man p2v-tui")
    assert "--inject-ssh-identity" in machine.run("man p2v-tui-image")
    assert "/usr/share/doc/p2v-tui." in machine.run("p2v-tui --help")
    assert "# Settings" in machine.run("cat /usr/share/doc/p2v-tui/docs/settings.md")


@pytest.mark.parametrize(
    "place",
    [
        "bash-completion/completions/p2v-tui",
        "zsh/vendor-completions/_p2v-tui",
        "fish/vendor_completions.d/p2v-tui.fish",
    ],
)
def test_the_completion_is_where_each_shell_of_debian_looks_for_it(machine: Machine, place: str) -> None:
    assert "dry-run" in machine.run(f"cat /usr/share/{place}")


def test_the_images_builder_has_all_that_it_builds_from(machine: Machine) -> None:
    said = machine.run("sh -c 'p2v-tui-image -o /tmp/x.iso 2>&1 || true'")
    assert "mmdebstrap" in said
    assert "Traceback" not in said
    for name in ("p2v_tui/start.py", "docs/index.md", "README.md", "pyproject.toml", "requirements.txt"):
        machine.run(f"test -f /usr/share/p2v-tui/{name}")


def test_nothing_is_left_when_it_is_removed(machine: Machine) -> None:
    machine.run("p2v-tui --version")
    machine.run("env DEBIAN_FRONTEND=noninteractive apt-get purge -y p2v-tui")
    assert machine.files() - machine.before == set()
