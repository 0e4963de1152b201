"""All that speaks to the conversion server. A front end needs what is named here, and nothing below it.

A front end makes a `Plan` from the settings and the machine, gets the keys of its encrypted volumes (`with_keys`),
enters a `ConversionServer`, tests the connection and calls `convert`; or it goes on with a `SavedConversion` by
`resume`, or stops it by `give_up`. It is told what happens by events, given to its callback, and stops it by a
`Cancellation`.
"""

from p2v_tui.session.cancellation import Cancellation
from p2v_tui.session.conversion import NeverStarted, convert, describe, resume, why_not_gone_on_with
from p2v_tui.session.plan import Plan, fill_in, make_plan, with_keys
from p2v_tui.session.saved_conversion import SavedConversion, find_saved
from p2v_tui.session.server import ConversionServer
from p2v_tui.session.stopping import give_up
from p2v_tui.session.virt_v2v import VirtV2V

__all__ = [
    "Cancellation",
    "ConversionServer",
    "NeverStarted",
    "Plan",
    "SavedConversion",
    "VirtV2V",
    "convert",
    "describe",
    "fill_in",
    "find_saved",
    "give_up",
    "make_plan",
    "resume",
    "why_not_gone_on_with",
    "with_keys",
]
