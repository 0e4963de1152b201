"""What a dry run says where an error ended its checks."""

from __future__ import annotations

import pytest

from p2v_tui.errors import ConnectionFailed, LocalFailure, LoginRefused, P2VError, PreflightRefused, SettingsError
from p2v_tui.session.conversion.dry_run import no_verdict
from tests.screens.scripted_conversion import plan


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (ConnectionFailed("It does not answer."), "Not checked"),
        (LoginRefused("It refused the password."), "Not checked"),
        (PreflightRefused("It has no virt-v2v."), "Refused"),
        (SettingsError("The mode does not exist."), "Refused"),
        (LocalFailure("No room."), "Failed"),
    ],
)
def test_a_server_that_was_not_reached_refuses_nothing(error: P2VError, word: str) -> None:
    assert no_verdict(error, plan()) == f"{word}: sda 500 GB, sdb 250 GB -> /var/tmp as db1"
