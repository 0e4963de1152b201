"""The conversion screen on made-up machines: what it shows, what it refuses, and what it makes of the choices."""

from __future__ import annotations

import dataclasses
import threading

import pytest
from syrupy.assertion import SnapshotAssertion

from p2v_tui import cmdline
from p2v_tui.errors import P2VError, SettingsError
from p2v_tui.front.conversion_run import ConversionRun
from p2v_tui.front.port_blinking import CannotBlink
from p2v_tui.hwprobe.machine import (
    Content,
    DiskGroup,
    ExcludedDisk,
    Machine,
)
from p2v_tui.screens import conversion
from p2v_tui.screens.conversion import ConversionScreen
from p2v_tui.screens.dialogs import Dialog
from p2v_tui.screens.running import RunningScreen
from p2v_tui.screens.widgets import Choice, Line, Toggle
from p2v_tui.session.plan.plan import fill_in, make_plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight.directory_checks import STORAGE
from p2v_tui.session.preflight.output_checks import EXISTING
from p2v_tui.session.preflight.preflight import ChecksRefused
from p2v_tui.session.preflight.server_checks import PROGRAMS
from tests.screens.conftest import SIZES, screen_lines, screen_text, wait_until
from tests.screens.conversion_screen import (
    DB1,
    EM1,
    MODES,
    SDA,
    SDB,
    VIRT_V2V,
    MadeUpState,
    OneScreen,
    Opened,
    opened,
)
from tests.screens.scripted_conversion import NoServer, ScriptedConversion, plan
from tests.unit.machines import DISKLESS, GIB

# What it looks like.


@pytest.mark.parametrize("size", SIZES)
async def test_the_screen_as_it_opens(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size=size) as it:
        assert screen_text(it.app) == snapshot


async def test_the_pages_of_80_columns(snapshot: SnapshotAssertion) -> None:
    async with opened() as it:
        await it.pilot.press("pagedown")
        assert screen_text(it.app) == snapshot(name="second")
        await it.pilot.press("pagedown")
        assert screen_text(it.app) == snapshot(name="third")


@pytest.mark.parametrize("size", SIZES)
async def test_a_mode_that_needs_much(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(MadeUpState(words="p2v.o=rhv-upload"), size) as it:
        assert screen_text(it.app) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_half_a_volume_group(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size=size) as it:
        await it.switch("sdb")
        assert screen_text(it.app) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_the_kernel_arguments(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(MadeUpState(words="p2v.server=conv.example.com p2v.password=swordfish"), size) as it:
        await it.switch("nvme0n1")
        await it.type("memory", "4096")
        await it.press("arguments")
        assert screen_text(it.app) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_a_machine_with_nothing_to_convert(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(MadeUpState(DISKLESS), size) as it:
        if size == "80x24":
            await it.pilot.press("pagedown")
        assert screen_text(it.app) == snapshot


async def test_it_says_that_it_looks_at_the_machine_and_the_keys_work_meanwhile() -> None:
    looking = threading.Event()

    class SlowState(MadeUpState):
        def machine(self) -> Machine:
            looking.wait(10)
            return super().machine()

    app = OneScreen(SlowState())
    async with app.run_test(size=SIZES["80x24"]) as pilot:
        try:
            await wait_until(pilot, lambda: "Looking at the machine..." in screen_text(app))
            assert "Guest name" not in screen_text(app)
            await pilot.press("f1")
            await wait_until(pilot, lambda: isinstance(app.screen, Dialog))
            await pilot.press("escape")
        finally:
            looking.set()
        await wait_until(pilot, lambda: "[db1" in screen_text(app))


async def test_a_machine_that_cannot_be_looked_at_is_told_and_may_be_tried_again() -> None:
    state = MadeUpState(OSError("udev is \x1b[31mnot there"))
    async with opened(state) as it:
        assert it.status.startswith("This machine could not be examined: This machine's system refused")
        assert "(udev is not there)" in it.status
        assert it.status.endswith("F5 or Ctrl-R looks again.")
        state.found = DB1
        await it.pilot.press("f5")
        await wait_until(it.pilot, lambda: it.field("guestname").value == "db1")


async def test_every_character_is_one_that_every_console_has() -> None:
    nasty = "caf\u00e9 \u2588\x1b[31m[bold]x[/]\x07\u202e" + "long " * 40
    machine = dataclasses.replace(
        DB1,
        disks=(
            dataclasses.replace(SDA, model=nasty, serial=nasty, partitions=(), content=Content("ext4", label=nasty)),
            SDB,
        ),
        excluded=(ExcludedDisk("sdz", GIB, nasty, nasty),),
        groups=(DiskGroup("LVM volume group", nasty, frozenset({"sda", "sdb"})),),
        interfaces=(dataclasses.replace(EM1, vendor=nasty, model=nasty),),
    )
    for size in SIZES:
        async with opened(MadeUpState(machine, virt_v2v=dataclasses.replace(VIRT_V2V, version=nasty)), size) as it:
            for _ in range(5):
                text = screen_text(it.app)
                assert text.isascii() and text.replace("\n", "").isprintable(), text
                assert max(len(line) for line in screen_lines(it.app)) <= SIZES[size][0]
                await it.pilot.press("pagedown")
            await it.switch("sda")
            assert screen_text(it.app).isascii()
            assert it.toggle("sda").label.startswith("sda  500 GB  cafe ?[bold]x[/]long")


# Moving about.


async def test_the_focus_goes_top_down_and_is_always_in_view() -> None:
    async with opened() as it:
        seen: list[str] = []
        form = it.screen.query_one("#form").region
        for _ in range(60):
            focused = it.focused
            if focused.id == "guestname-input" and seen:
                break
            seen.append(focused.name or focused.id or "")
            if it.screen.query_one("#form") in focused.ancestors:
                assert form.contains_region(focused.region), seen
            await it.pilot.press("tab" if len(seen) % 2 else "down")
        numbered = [name.rstrip("0123456789-") if name.startswith(("network", "blink")) else name for name in seen]
        assert [name.removesuffix("-input").rstrip("0123456789-") for name in numbered] == [
            *("guestname", "vcpus", "topology", "memory", "firmware"),
            *("mode", "storage", "format", "allocation", "misc", "debug"),
            *("sda", "sdb", "nvme0n", "sr", "fd"),
            *("em", "network", "blink", "em", "network", "blink"),
            *("back", "start", "arguments", "refresh"),
        ]


async def test_the_focus_goes_back_up_as_well() -> None:
    async with opened() as it:
        form = it.screen.query_one("#form").region
        for _ in range(30):
            await it.pilot.press("up")
            if it.screen.query_one("#form") in it.focused.ancestors:
                assert form.contains_region(it.focused.region), it.focused


async def test_a_line_says_which_way_there_is_more() -> None:
    async with opened() as it:
        assert it.line("more").strip() == "v more below (PageUp, PageDown)"
        await it.pilot.press("pagedown")
        await wait_until(it.pilot, lambda: "^v more above and below" in it.line("more"))
        await it.pilot.press("pagedown", "pagedown")
        await wait_until(it.pilot, lambda: "^  more above (" in it.line("more"))
        await it.pilot.press("pageup", "pageup", "pageup")
        await wait_until(it.pilot, lambda: it.line("more").strip().startswith("v more below"))
        assert it.focused.id == "guestname-input"


async def test_where_all_is_seen_no_line_says_more() -> None:
    async with opened(size="132x43") as it:
        assert it.line("more") == ""


async def test_two_columns_from_120_on() -> None:
    async with opened() as it:
        left, right = it.screen.query_one("#left"), it.screen.query_one("#right")
        await it.pilot.resize_terminal(119, 40)
        await wait_until(it.pilot, lambda: right.region.y >= left.region.bottom)
        await it.pilot.resize_terminal(120, 40)
        await wait_until(it.pilot, lambda: right.region.x >= left.region.right and right.region.y == left.region.y)


async def test_space_enter_and_arrows_change_everything() -> None:
    async with opened() as it:
        await it.pilot.press("down", "down", "space", "down", "down", "down", "right")
        assert it.screen.query_one("#topology", Toggle).value
        assert it.screen.query_one("#mode", Choice).value == "null"
        await it.pilot.press("up", "left")
        assert it.screen.query_one("#firmware", Choice).value == "uefi"


@pytest.mark.parametrize("key", ["f1", "ctrl+w"])
async def test_help_is_about_the_field(key: str) -> None:
    async with opened(MadeUpState(words="p2v.o=vdsm")) as it:
        it.field("misc").input.focus()
        await it.pilot.press(key)
        await wait_until(it.pilot, lambda: "p2v.oo" in screen_text(it.app))
        assert "vdsm-image-uuid" in screen_text(it.app)


# The target.


async def test_the_fields_are_filled_from_the_machine() -> None:
    async with opened() as it:
        assert [it.field(name).value for name in ("guestname", "vcpus", "memory")] == ["db1", "16", "23552"]
        assert it.focused.id == "guestname-input"


async def test_the_fields_are_filled_from_the_kernel_command_line() -> None:
    words = (
        "p2v.name=web p2v.vcpu.cores=3 p2v.memory=2G p2v.target.firmware=uefi p2v.o=libvirt p2v.os=pool "
        "p2v.oa=sparse p2v.oc=qemu:///session p2v.of=qcow2 p2v.oo=a=b,c=d p2v.disks=nvme0n1 p2v.removable= "
        "p2v.interfaces=em2 p2v.network=em2:blue,red p2v.debug"
    )
    async with opened(MadeUpState(words=words)) as it:
        names = ("guestname", "vcpus", "memory", "connection", "storage", "misc")
        assert [it.field(name).value for name in names] == [
            *("web", "3", "2048", "qemu:///session", "pool", "a=b,c=d")
        ]
        choices = ("firmware", "mode", "format", "allocation")
        values = {name: it.screen.query_one(f"#{name}", Choice).value for name in choices}
        assert values == {"firmware": "uefi", "mode": "libvirt", "format": "qcow2", "allocation": "sparse"}
        assert it.names("disks") == [("nvme0n1", True), ("sda", False), ("sdb", False)]
        assert not any(checked for _, checked in it.names("removable"))
        assert it.names("interfaces") == [("em1", False), ("em2", True)]
        assert it.interface("em2").network.value == "blue"
        assert it.interface("em1").network.value == "red"
        assert it.screen.query_one("#debug", Toggle).value
        before = it.state.settings
        await it.press("start")
        again, first = make_plan(it.state.settings, DB1), make_plan(before, DB1)
        assert (again.guest, again.disks, again.output) == (first.guest, first.disks, first.output)
        assert it.state.settings.memory == before.memory


async def test_the_keyboard_edits_a_field() -> None:
    async with opened() as it:
        await it.pilot.press("end", "backspace", "2", "-", "x")
        assert it.field("guestname").value == "db2-x"
        await it.pilot.press("tab")
        assert "/var/tmp/db2-x.xml" in it.line("mode-note")


async def test_the_physical_topology_shows_its_number_and_closes_the_field() -> None:
    async with opened() as it:
        await it.type("vcpus", "5")
        it.screen.query_one("#topology").focus()
        await it.pilot.press("enter")
        assert it.field("vcpus").value == "16"
        assert it.field("vcpus").input.disabled
        assert it.line("vcpus-note") == "2 sockets x 4 cores x 2 threads, as in this machine."
        await it.pilot.press("enter")
        assert it.field("vcpus").value == "5"
        assert not it.field("vcpus").input.disabled
        await it.pilot.press("enter")
        await it.press("start")
        assert it.state.settings.phys_topo
        assert it.state.plan is not None
        assert it.state.plan.guest.topology.sockets == 2


@pytest.mark.parametrize(
    ("field", "text", "warning"),
    [
        ("vcpus", "16", ""),
        ("vcpus", "17", "Note: this machine has only 16."),
        ("vcpus", "256", "i440fx machine runs at most 255."),
        ("vcpus", "289", "QEMU before 8.1 runs at most 288."),
        ("vcpus", "711", "RHEL 9 supports at most 710"),
        ("memory", "23552", ""),
        ("memory", "511", "less than 512 MiB"),
        ("memory", "23553", "Note: this machine has only 23 GiB."),
        ("memory", "67108865", "64 TiB"),
        ("memory", "32G", "Note: this machine has only 23 GiB."),
        ("memory", "nonsense", ""),
    ],
)
async def test_what_kvm_may_not_take_is_warned_of_and_not_refused(field: str, text: str, warning: str) -> None:
    async with opened() as it:
        await it.type(field, text)
        note = it.line(f"{field}-note")
        assert warning in note if warning else not note
        await it.press("start")
        assert it.app.started == (text != "nonsense")


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("guestname", "", "is empty"),
        ("guestname", "-x", "is not a valid guest name"),
        ("vcpus", "0", "below the limit"),
        ("vcpus", "many", "not a whole number"),
        ("memory", "1", "too little"),
        ("memory", "", "not a size"),
        ("memory", "1M", "Give mebibytes, from 64 on"),
        ("misc", "a=b,,c=d", "has an empty item"),
    ],
)
async def test_a_wrong_value_gets_the_focus_and_the_reason(field: str, text: str, message: str) -> None:
    async with opened() as it:
        await it.type(field, text)
        await it.press("start")
        assert message in it.status
        assert it.focused is it.field(field).input
        assert it.app.started == 0
        assert it.state.plan is None


async def test_what_is_wrong_in_a_field_that_the_mode_hides_does_not_matter() -> None:
    async with opened() as it:
        await it.type("misc", "a=b,,c=d")
        await it.choose_mode("null")
        await it.press("start")
        assert it.app.started == 1


async def test_a_relative_storage_is_refused_on_this_screen_and_its_field_has_the_focus() -> None:
    async with opened() as it:
        await it.type("storage", "guests")
        await it.press("start")
        assert '"Storage (-os)": guests is not an absolute path' in it.status
        assert it.focused is it.field("storage").input
        assert it.app.started == 0


@pytest.mark.parametrize(
    ("failure", "field"),
    [
        (SettingsError("No such connection.", setting="output.connection"), "connection"),
        (ChecksRefused([STORAGE.refused("There is no /srv.", "")]), "storage"),
        (ChecksRefused([PROGRAMS.refused("No nbdkit.", ""), EXISTING.refused("db1 exists.", "")]), "guestname"),
    ],
)
async def test_back_from_a_conversion_that_failed_leads_to_the_field_that_mends_it(
    failure: P2VError, field: str
) -> None:
    async with opened() as it:
        await it.choose_mode("libvirt")
        conversion = ScriptedConversion()
        conversion.say(failure)
        it.state.run = run = ConversionRun(NoServer().as_server(), plan(), convert=conversion)
        run.start()
        await it.app.push_screen(RunningScreen(it.state, interval=0.0))
        await wait_until(it.pilot, lambda: failure.message in screen_text(it.app))
        await it.pilot.press("enter")
        await wait_until(it.pilot, lambda: it.focused is it.field(field).input)
        assert failure.message in it.status


# The output.


async def test_the_format_is_a_choice_among_those_that_the_mode_makes() -> None:
    async with opened() as it:
        choice = it.screen.query_one("#format", Choice)
        choice.focus()
        values = [choice.value]
        for _ in range(3):
            await it.pilot.press("right")
            values.append(choice.value)
        assert values == ["default", "raw", "qcow2", "default"]
        await it.choose_mode("openstack")
        choice.focus()
        await it.pilot.press("right", "right")
        assert choice.value == "default"


async def test_a_format_of_the_kernel_command_line_that_the_mode_cannot_make_is_refused_here() -> None:
    async with opened(MadeUpState(words="p2v.o=openstack p2v.oo=server-id=x p2v.of=qcow2")) as it:
        await it.press("start")
        assert "cannot make the format qcow2" in it.status
        assert it.focused.id == "format"
        await it.pilot.press("right")
        await it.press("start")
        assert it.app.started == 1
        assert it.state.settings.output_format in (None, "raw")


async def test_the_accepted_host_key_is_among_the_kernel_arguments() -> None:
    async with opened() as it:
        it.state.host_key = "SHA256:mJcgwqEeQ9g4GvCDZDjuqaKsPnl8D+gfpKM2S5pczao"
        await it.press("arguments")
        await wait_until(it.pilot, lambda: "As kernel arguments" in screen_text(it.app))
        shown = "".join(screen_text(it.app).replace("|", " ").split())
        assert "p2v.hostkey=SHA256:mJcgwqEeQ9g4GvCDZDjuqaKsPnl8D+gfpKM2S5pczao" in shown


@pytest.mark.parametrize("mode", MODES)
async def test_a_mode_has_the_fields_that_it_takes_and_no_other(mode: str) -> None:
    taken = {
        "local": "storage format allocation misc",
        "libvirt": "connection storage format allocation misc",
        "qemu": "storage format allocation misc",
        "null": "",
        "glance": "format allocation misc",
        "openstack": "connection storage format allocation misc",
        "kubevirt": "storage format allocation misc",
        "rhv": "storage format allocation misc",
        "rhv-upload": "connection storage format allocation misc password",
        "vdsm": "storage format allocation misc",
        "json": "storage format allocation misc",
    }
    async with opened() as it:
        await it.choose_mode(mode)
        fields = ("connection", "storage", "format", "allocation", "misc", "password")
        shown = [name for name in fields if it.screen.query_one(f"#{name}").display]
        assert shown == taken[mode].split()


async def test_the_modes_are_the_servers_own() -> None:
    modes = ("disk", "null")
    async with opened(MadeUpState(virt_v2v=VirtV2V("2.7.1", frozenset(), modes))) as it:
        choice = it.screen.query_one("#mode", Choice)
        assert choice.value == "disk"
        choice.focus()
        values = []
        for _ in modes:
            await it.pilot.press("right")
            values.append(choice.value)
        assert values == ["null", "disk"]
        await it.press("start")
        assert it.state.settings.output_type == "local"


async def test_a_mode_that_the_server_lacks_is_warned_of_and_refused() -> None:
    async with opened(MadeUpState(words="p2v.o=glance", virt_v2v=VirtV2V("1.42", frozenset(), ("local",)))) as it:
        assert "does not have the mode glance" in it.line("mode-note")
        await it.press("start")
        assert "has no output mode 'glance'" in it.status
        assert it.focused.id == "mode"
        assert it.app.started == 0


async def test_the_storage_is_the_modes_own_until_one_is_typed() -> None:
    async with opened() as it:
        assert it.field("storage").value == "/var/tmp"
        await it.choose_mode("rhv")
        assert it.field("storage").value == ""
        await it.choose_mode("qemu")
        assert it.field("storage").value == "/var/tmp"
        await it.type("storage", "/data")
        await it.choose_mode("local")
        await it.pilot.pause()
        assert it.field("storage").value == "/data"
        assert "/data/db1.xml" in it.line("mode-note")


@pytest.mark.parametrize(
    ("mode", "field", "message"),
    [
        ("rhv-upload", "connection", "The output mode rhv-upload needs Connection (-oc)."),
        ("rhv", "storage", "The output mode rhv needs Storage (-os)."),
        ("openstack", "misc", "The output mode openstack needs the option server-id: type server-id=VALUE."),
        ("local", "storage", "The output mode local needs Storage (-os)."),
    ],
)
async def test_what_a_mode_needs_is_marked_and_asked_for(mode: str, field: str, message: str) -> None:
    async with opened() as it:
        await it.choose_mode(mode)
        label = it.field(field).query_one(".label", Line).text
        assert label.strip().endswith(", needed:")
        await it.type(field, "")
        await it.press("start")
        assert it.status.startswith(message)
        assert it.focused is it.field(field).input


async def test_the_password_is_never_seen() -> None:
    async with opened(size="132x43") as it:
        await it.choose_mode("rhv-upload")
        await it.type("connection", "https://engine/api")
        await it.type("storage", "data")
        await it.type("password", "swordfish")
        assert "swordfish" not in screen_text(it.app)
        assert "[*********" in screen_text(it.app)
        await it.press("arguments")
        assert "p2v.op=..." in screen_text(it.app)
        assert "swordfish" not in screen_text(it.app)
        await it.pilot.press("escape")
        await it.press("start")
        assert it.state.plan is not None
        assert it.state.plan.output.password is not None
        assert it.state.plan.output.password.reveal() == "swordfish"


# Back, and the kernel arguments.


@pytest.mark.parametrize("way", ["escape", "back"])
async def test_back_keeps_what_was_edited(way: str) -> None:
    async with opened() as it:
        await it.type("guestname", "web")
        await it.type("memory", "nonsense")
        await it.switch("sdb")
        await it.type("storage", "/data")
        if way == "escape":
            await it.pilot.press("escape")
        else:
            await it.press("back")
        await wait_until(it.pilot, lambda: it.app.screen is not it.screen)
        settings = it.state.settings
        assert settings.guestname == "web"
        assert settings.disks == ("sda", "nvme0n1")
        assert settings.output_storage == "/data"
        assert settings.memory is None
        assert settings.server == "conv.example.com"
        await it.app.push_screen(ConversionScreen(it.state, watch=it.app.watch_devices))
        screen = it.app.screen
        assert isinstance(screen, ConversionScreen)
        await wait_until(it.pilot, lambda: not screen.looking)
        again = dataclasses.replace(it, screen=screen)
        assert again.field("guestname").value == "web"
        assert again.names("disks") == [("sda", True), ("nvme0n1", True), ("sdb", False)]


async def test_what_is_no_number_is_dropped_where_the_physical_topology_takes_its_place() -> None:
    async with opened() as it:
        await it.type("vcpus", "x")
        it.screen.query_one("#topology", Toggle).focus()
        await it.pilot.press("space", "space")
        assert it.field("vcpus").value == "16"


async def test_leaving_at_once_changes_no_settings() -> None:
    async with opened() as it:
        before = it.state.settings
        await it.pilot.press("escape")
        assert it.state.settings == before


async def kernel_arguments(it: Opened) -> str:
    await it.press("arguments")
    assert isinstance(it.app.screen, Dialog)
    text = it.app.screen.query_one("#dialog-text Line", Line).text
    await it.pilot.press("escape")
    await it.pilot.pause()
    return next((line for line in text.split("\n") if line.startswith("p2v.")), text)


async def test_the_kernel_arguments_say_only_what_differs() -> None:
    async with opened() as it:
        assert await kernel_arguments(it) == "p2v.server=conv.example.com"
        await it.switch("nvme0n1")
        await it.switch("sr0")
        await it.switch("fd0")
        await it.type("vcpus", "4")
        assert await kernel_arguments(it) == (
            "p2v.server=conv.example.com p2v.vcpu.cores=4 p2v.disks=sda,sdb p2v.removable="
        )


async def test_the_kernel_arguments_repeat_the_choices() -> None:
    async with opened() as it:
        await it.type("guestname", "web")
        await it.type("memory", "4096")
        await it.choose_mode("libvirt")
        await it.type("connection", "qemu+unix:///system?a b")
        await it.type("misc", "a=b")
        await it.switch("em2")
        words = await kernel_arguments(it)
        await it.press("start")
        repeated = cmdline.parse(words).settings
        assert make_plan(repeated, DB1) == it.state.plan
        assert fill_in(repeated, DB1) == fill_in(it.state.settings, DB1)


async def test_a_name_that_was_made_up_is_a_kernel_argument() -> None:
    async with opened(MadeUpState(dataclasses.replace(DB1, hostname="localhost"))) as it:
        name = it.field("guestname").value
        assert name.startswith("p2v-")
        assert f"p2v.name={name}" in await kernel_arguments(it)


async def test_a_mode_leaves_out_what_it_does_not_take() -> None:
    async with opened(MadeUpState(words="p2v.oc=x p2v.of=raw p2v.oa=sparse p2v.os=/data")) as it:
        await it.choose_mode("null")
        assert await kernel_arguments(it) == "p2v.o=null"


async def test_a_double_quote_is_explained() -> None:
    async with opened() as it:
        await it.type("storage", 'a"b')
        assert "double quote" in await kernel_arguments(it)


# Finding a port.


async def test_ctrl_n_blinks_the_port_of_the_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    blinked: list[str] = []
    monkeypatch.setattr(conversion, "blink_port", blinked.append)
    async with opened() as it:
        await it.pilot.press("ctrl+n")
        assert it.status.startswith("Move to a network interface")
        it.toggle("em2").focus()
        await it.pilot.press("ctrl+n")
        await wait_until(it.pilot, lambda: not it.state.jobs.busy)
        await it.pilot.pause()
        assert blinked == ["em2"]
        assert it.status == "The port of em2 has blinked."
        it.interface("em1").network.input.focus()
        await it.pilot.press("tab", "enter")
        await wait_until(it.pilot, lambda: not it.state.jobs.busy)
        assert blinked == ["em2", "em1"]


async def test_a_port_that_does_not_blink_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(interface: str) -> None:
        raise CannotBlink(f"Only root can make {interface} blink.", "Run p2v-tui as root.")

    monkeypatch.setattr(conversion, "blink_port", fail)
    async with opened() as it:
        it.toggle("em1").focus()
        await it.pilot.press("ctrl+n")
        await wait_until(it.pilot, lambda: not it.state.jobs.busy)
        await it.pilot.pause()
        assert it.status == "Only root can make em1 blink. Run p2v-tui as root."


def test_the_inputs_need_no_mouse_and_no_alt() -> None:
    keys = {binding.key for binding in ConversionScreen.BINDINGS if not isinstance(binding, tuple)}
    for key in ",".join(keys).split(","):
        assert key not in {"ctrl+q", "ctrl+s", "ctrl+a", "ctrl+b"}
        assert not key.startswith("alt")
