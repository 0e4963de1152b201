"""physical.xml: the description of the machine that virt-v2v reads with `-i libvirtxml`."""

from p2v_tui.xmlgen.drives import FLOPPY_DRIVES, IDE_DRIVES
from p2v_tui.xmlgen.guest import Guest, GuestDisk, GuestInterface
from p2v_tui.xmlgen.physical_xml import physical_xml

__all__ = ["FLOPPY_DRIVES", "IDE_DRIVES", "Guest", "GuestDisk", "GuestInterface", "physical_xml"]
