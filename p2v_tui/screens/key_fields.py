"""The keys of encrypted volumes on the checked disks: a masked field for each volume."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count

from textual.app import ComposeResult
from textual.containers import Vertical

from p2v_tui.config import BY_KEY
from p2v_tui.front.device_words import shown
from p2v_tui.hwprobe import Disk
from p2v_tui.kinds import KeySource, Secret
from p2v_tui.screens.form import LABEL_WIDTH, Note, Reading, field_help
from p2v_tui.screens.widgets import FormField, Help, Panel
from p2v_tui.secrecy import without_secrets
from p2v_tui.session.plan.volume_keys import BITLOCKER, EncryptedVolume, find_encrypted


class KeyRow(Vertical):
    """A volume with the field for its key. given: the key that the command line names, if any."""

    _numbers = count(1)

    def __init__(self, disk: Disk, volume: EncryptedVolume, given: KeySource | None) -> None:
        super().__init__(classes="device")
        self.disk = disk
        self.volume = volume
        self._given = given
        # The name of a volume in a disk image contains the image's whole path.
        name = shown(volume.name.rpartition("/")[2] if volume.name.startswith("/") else volume.name)
        typed = given.passphrase if given else None
        self.field = FormField(
            f"{volume.kind} {name}",
            id=f"key-{next(self._numbers)}",
            help=_help(volume),
            value=typed.reveal() if typed else "",
            label_width=LABEL_WIDTH,
            password=True,
        )

    def compose(self) -> ComposeResult:
        yield self.field
        url = self._given.url if self._given else None
        yield Note(f"Left empty: from {shown(without_secrets(url.reveal()))}" if url else "")

    @property
    def key(self) -> KeySource | None:
        """The typed key, else the one that the command line names."""
        if self.field.value:
            return KeySource(self.volume.name, passphrase=Secret(self.field.value))
        return self._given if self._given and self._given.url else None


class KeyFields(Panel):
    """A part of the conversion screen, shown only while an encrypted volume is to be converted."""

    def __init__(self) -> None:
        super().__init__("Keys of encrypted volumes", id="keys", classes="part")
        self._rows = Vertical(classes="rows")
        # Keys in the settings whose volumes are not on this machine.
        self._others: tuple[KeySource, ...] = ()

    def compose(self) -> ComposeResult:
        yield self._rows

    @property
    def rows(self) -> list[KeyRow]:
        return list(self._rows.query_children(KeyRow))

    async def show(self, disks: Sequence[Disk], sources: Sequence[KeySource], chosen: Collection[str]) -> None:
        """disks: all that can be checked. sources: the keys known so far. chosen: the checked disks.

        A typed key stays as long as its volume does.
        """
        existing = {row.volume: row for row in self.rows}
        wanted = [(disk, volume) for disk in disks for volume in find_encrypted([disk])]
        self._others = tuple(
            source for source in sources if not any(volume.is_called(source.volume) for _, volume in wanted)
        )
        for volume in existing.keys() - {volume for _, volume in wanted}:
            await existing[volume].remove()
        for position, (disk, volume) in enumerate(wanted):
            if row := existing.get(volume):
                if self.rows.index(row) != position:
                    self._rows.move_child(row, before=position)
                continue
            given = next((source for source in sources if volume.is_called(source.volume)), None)
            before = position if position < len(self.rows) else None
            await self._rows.mount(KeyRow(disk, volume, given), before=before)
        self.choose(chosen)

    def choose(self, chosen: Collection[str]) -> None:
        """chosen: the names of the checked disks."""
        for row in self.rows:
            row.display = row.disk.name in chosen
        self.display = any(row.display for row in self.rows)

    def readings(self) -> list[Reading]:
        return [Reading("keys", lambda: (*self._others, *(row.key for row in self.rows if row.key)))]

    def find(self, name: str | None) -> FormField | None:
        """The field of the volume that has this name."""
        return next((row.field for row in self.rows if row.volume.name == name), None)


def _help(volume: EncryptedVolume) -> Help:
    name, declared = shown(str(volume)), BY_KEY["p2v.key"]
    if volume.kind == BITLOCKER:
        what = f"The password that opens {name}, or its recovery password: eight groups of six digits."
        example = "111111-222222-333333-444444-555555-666666-777777-888888"
    else:
        what = f"The passphrase that opens {name}. Its UUID is {shown(volume.uuid)}."
        example = "what you type for this volume when this machine boots"
    return field_help(
        f"{what} {declared.when} On the conversion server it is in a file that only the account there can read, and "
        "that is removed at the end.",
        example=example,
        if_wrong=declared.if_wrong,
        name=f"{declared.short_name}={shown(volume.name)}:https://host/key",
        title=name,
    )
