"""What the end-to-end tests share: the check that nothing is left behind, small disks, servers to log in to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import Leftovers
from tests.lab.accounts import Account
from tests.lab.conversion_server import Authentication, ConversionServer, Identity, identity


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Checks after every test that no ssh, NBD server or private directory of p2v-tui is left."""
    leftovers = Leftovers()
    remote = set(Path("/tmp").glob("virt-p2v-*"))
    yield
    # Otherwise the next test's p2v-tui would find them, as the servers share this machine.
    for directory in set(Path("/tmp").glob("virt-p2v-*")) - remote:
        shutil.rmtree(directory, ignore_errors=True)
    found = leftovers.new()
    # Otherwise the next test's p2v-tui would offer to continue this one's conversion.
    leftovers.remove()
    assert not found


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """An empty disk, which is enough for everything up to virt-v2v's inspection."""
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(8 * 1024 * 1024)
    return path


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identity(tmp_path_factory.mktemp("identity"))


@pytest.fixture(scope="session")
def key_server(key: Identity) -> Iterator[ConversionServer]:
    """A conversion server that accepts the identity, for root."""
    with ConversionServer(authorized=[key.public_key]) as server:
        yield server


@pytest.fixture(scope="session")
def account() -> Iterator[Account]:
    """An ordinary account with a password."""
    with Account() as made:
        yield made


@pytest.fixture(scope="session")
def password_server() -> Iterator[ConversionServer]:
    with ConversionServer(authentication=Authentication.PASSWORD) as server:
        yield server


def at(server: ConversionServer) -> str:
    """The words of the command line that name the server."""
    return f"p2v.server={server.host} p2v.port={server.port}"


def with_key(server: ConversionServer, key: Identity) -> str:
    return f"{at(server)} p2v.identity={key.url}"


def with_password(server: ConversionServer, account: Account) -> str:
    return f"{at(server)} p2v.username={account.name} p2v.password={account.password}"
