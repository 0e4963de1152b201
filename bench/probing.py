"""How long a look at the block devices of a SAN host takes: python -m bench.probing

For 13 824 devices against 1 728 it should be about eight times as long: the work grows with the number of devices.
"""

from __future__ import annotations

import time

from tests.lab.san import DEVICES_OF_A_LUN, look, san_host

NUMBERS = (1728, 13824)


def seconds(number: int) -> float:
    """The CPU time for processing so many devices, without reading them from udev."""
    devices = san_host(number // DEVICES_OF_A_LUN)
    start = time.process_time()
    look(devices)
    return time.process_time() - start


def main() -> None:
    few, many = (seconds(number) for number in NUMBERS)
    print(f"{NUMBERS[0]} block devices: {few:.2f} s")
    print(f"{NUMBERS[1]} block devices: {many:.2f} s, {many / few:.1f} times as long")


if __name__ == "__main__":
    main()
