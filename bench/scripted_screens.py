"""The screens with a made-up machine and a made-up conversion, told what to do through a named pipe.

    python -m bench.scripted_screens start CONTROL

starts them in a tmux session as p2v-tui does. CONTROL is read line by line: `conversion` and `running` open those
screens, `lines COUNT SECONDS` makes virt-v2v print so many lines, `tick` advances the copy by a percent.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from p2v_tui import consoles
from p2v_tui.config import Settings
from p2v_tui.front.conversion_run import ConversionRun
from p2v_tui.hwprobe import Machine
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.words.events import OutputKind, RemoteOutput

CONTROL = "P2V_TUI_BENCH_CONTROL"
LINE = "virt-v2v: line {} of the output: copying /boot/vmlinuz-6.1.0-{}-amd64"


def start(control: str) -> int:
    """Outside: what p2v-tui does on a console."""
    os.environ[CONTROL] = control
    consoles.set_size_where_unknown(0)
    session = consoles.Session(shutil.which("tmux") or "tmux", consoles.private_directory())
    handover = consoles.Handover(Settings(server="conv.example.com", username="root"), None, False)
    code = session.run(handover, [sys.executable, "-m", "bench.scripted_screens", "inside"])
    return 1 if code is None else code


def inside(pipe: str) -> int:
    """Inside the session: the application."""
    handover = consoles.take_handover(Path(pipe))
    consoles.set_textual_environment()
    # Textual reads the environment when it is imported.
    from p2v_tui.app import P2VTui  # noqa: PLC0415
    from p2v_tui.screens.conversion import ConversionScreen  # noqa: PLC0415
    from p2v_tui.screens.look import Look  # noqa: PLC0415
    from p2v_tui.screens.running import RunningScreen  # noqa: PLC0415
    from p2v_tui.screens.state import State  # noqa: PLC0415
    from tests.screens.scripted_conversion import COPYING, NoServer, ScriptedConversion, copied, plan  # noqa: PLC0415
    from tests.unit.machines import SERVER  # noqa: PLC0415

    class MadeUp(State):
        def machine(self) -> Machine:
            return SERVER

        def look_again(self) -> Machine:
            return SERVER

    class StillWatch:
        def __init__(self, changed: Callable[[], None]) -> None:
            del changed

        def stop(self) -> None:
            pass

    conversion = ScriptedConversion()
    virt_v2v = VirtV2V(
        "2.2.0", frozenset({"virt-v2v", "colours-option"}), ("disk", "libvirt", "local", "null", "qemu")
    )
    state = MadeUp(handover.settings, virt_v2v=virt_v2v, server=NoServer().as_server(), plan=plan())
    app = P2VTui(state, look=Look.PLAIN)

    def open_running() -> None:
        if state.run is None:
            state.run = ConversionRun(NoServer().as_server(), plan(), virt_v2v, convert=conversion)
            state.run.start()
            conversion.say(*COPYING, copied(1))
            time.sleep(0.2)
        app.call_from_thread(app.push_screen, RunningScreen(state))

    def obey() -> None:
        percent = 1
        with Path(os.environ[CONTROL]).open() as commands:
            for command in commands:
                match command.split():
                    case ["conversion"]:
                        app.call_from_thread(app.push_screen, ConversionScreen(state, watch=StillWatch))
                    case ["running"]:
                        open_running()
                    case ["lines", count, seconds]:
                        for number in range(int(count)):
                            text = LINE.format(number, number * 7)
                            conversion.say(RemoteOutput(text, OutputKind.MESSAGE))
                            time.sleep(float(seconds) / int(count))
                    case ["tick"]:
                        percent += 1
                        conversion.say(copied(percent, seconds_left=4000 - 40 * percent))
                    case ["end"]:
                        if state.run is not None:
                            state.run.cancel()
                            state.run.wait(5)
                        app.call_from_thread(app.exit, 0)
                        return

    threading.Thread(target=obey, daemon=True).start()
    code = app.run(mouse=False) or 0
    consoles.Session(shutil.which("tmux") or "tmux", Path(pipe).parent).end(code)
    return code


if __name__ == "__main__":
    sys.exit({"start": start, "inside": inside}[sys.argv[1]](sys.argv[2]))
