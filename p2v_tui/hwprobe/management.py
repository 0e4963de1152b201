"""Virtual drives of a management controller (BMC): their media belong to a remote operator.

They are on USB and recognizable by their model: AMI's "Virtual CDROM0", "iDRAC Virtual CD", "HP Virtual DVD-ROM",
"CISCO KVM-Mapped vDVD". The guest has no such controller.
"""

from __future__ import annotations

import re

from p2v_tui.hwprobe.blockdev import BlockDevice
from p2v_tui.hwprobe.identity import model_of

_ITS_WORDS = re.compile(
    r"virtual|mapped|\bv(?:dvd|cd|fdd|hdd)\b|\bi?drac|\bilo\b|\birmc\b|\bbmc\b|\bimm\b|\bxcc\b|\bcimc\b|\brsa\b"
    r"|avocent|megatrends|megarac|peppercon|raritan|\baten\b|openbmc",
    re.IGNORECASE,
)


def is_of_management(device: BlockDevice) -> bool:
    """Whether a drive is one of a management controller, judging by its bus and its model."""
    words = (model_of(device), device.properties.get("ID_VENDOR"), device.properties.get("ID_VENDOR_FROM_DATABASE"))
    return "usb" in device.hangs_on and any(_ITS_WORDS.search(word) for word in words if word)
