"""The private key of --inject-ssh-identity, as a separate layer over the root file system, never in the cache."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from imagebuild.commands import run
from imagebuild.errors import BuildError

PLACE = Path("etc/p2v-tui/identity")
# The setting in the boot entries.
SETTING = f"p2v.identity=file:///{PLACE}"


def check(key: Path) -> None:
    """Raises BuildError unless this is a private key that ssh can use without asking."""
    try:
        text = key.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"The SSH identity {key} cannot be read: {error}") from error
    if "PRIVATE KEY-----" not in text:
        raise BuildError(f"{key} is not a private SSH key.", "ssh-keygen -t ed25519 -N '' -f FILE makes one.")
    with tempfile.NamedTemporaryFile(mode="w") as copy:
        copy.write(text)
        copy.flush()
        try:
            # The empty passphrase fails if the key has one.
            run(["ssh-keygen", "-y", "-P", "", "-f", copy.name])
        except BuildError as error:
            raise BuildError(
                f"ssh cannot use {key} without a passphrase: nobody could type one.",
                "`ssh-keygen -p -f FILE` takes it off, or ssh-keygen -t ed25519 -N '' makes a key for this purpose.",
            ) from error


def make_layer(key: Path, squashfs: Path, date: int, scratch: Path) -> None:
    """A squashfs with the key, which only root can read."""
    tree = scratch / "identity"
    place = tree / PLACE
    place.parent.mkdir(parents=True)
    shutil.copyfile(key, place)
    place.chmod(0o600)
    command: list[str | Path] = ["mksquashfs", tree, squashfs, "-all-root", "-quiet", "-no-progress", "-comp", "zstd"]
    run([*command, "-mkfs-time", str(date), "-all-time", str(date)])
    squashfs.chmod(0o600)
