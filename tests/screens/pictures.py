"""`make pictures`: pictures of the screens for the pages, of the real screens on a made-up machine.

docs/pictures/ gets an SVG file for each. A browser shows them with a font of its own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from p2v_tui.screens.look import Look
from tests.screens.scenes import Opened, asked, choosing, connected, copying, ended

PLACE: Final = Path(__file__).parents[2] / "docs" / "pictures"
PICTURES: Final[dict[str, tuple[Callable[[Look, str], Opened], Look, str]]] = {
    "server": (connected, Look.DARK, "120x36"),
    "conversion": (choosing, Look.DARK, "120x36"),
    "running": (copying, Look.DARK, "120x36"),
    "question": (asked, Look.DARK, "80x24"),
    "end": (ended, Look.DARK, "120x36"),
    "wide": (copying, Look.DARK, "200x60"),
    "light": (choosing, Look.LIGHT, "120x36"),
    "contrast": (choosing, Look.CONTRAST, "120x36"),
    "plain": (copying, Look.PLAIN, "80x24"),
}
# Rich has the picture fetch its font from the network.
_FONTS: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


async def picture(name: str) -> str:
    """The screen as SVG."""
    scene, look, size = PICTURES[name]
    async with scene(look, size) as pilot:
        drawn = pilot.app.export_screenshot(title=f"p2v-tui: {name}")
    lines = (line.rstrip() for line in _FONTS.sub("", drawn).replace("Fira Code", "monospace").splitlines())
    return "\n".join(lines) + "\n"


def main() -> None:
    PLACE.mkdir(exist_ok=True)
    for name in PICTURES:
        (PLACE / f"{name}.svg").write_text(asyncio.run(picture(name)))
        print(PLACE / f"{name}.svg")


if __name__ == "__main__":
    main()
