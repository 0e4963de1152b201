#!/usr/bin/env python3
"""Builds p2v-tui's live image: an ISO, a USB stick, or the files for a network boot. `--help` lists the options."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from imagebuild.errors import BuildError
from imagebuild.image import build
from imagebuild.options import parse


def main() -> int:
    options = parse()
    # Let a build that is ended unmount its file systems and remove what is half made.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        build(options)
    except BuildError as error:
        print(f"build.py: {error.message}", file=sys.stderr)
        if error.advice:
            print(f"build.py: {error.advice}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("build.py: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
