"""What a server asks for in a login: our password, or something else that we cannot answer."""

from __future__ import annotations

import enum
import re
from typing import Final


class Question(enum.Enum):
    """PASSWORD: the account's. CHANGE_PASSWORD: a new one, as it has expired. OTHER: a code, a token, a menu."""

    PASSWORD = "password"
    CHANGE_PASSWORD = "change password"
    OTHER = "other"


# PAM modules ask in the server's language.
_PASSWORD: Final = re.compile(
    "passwor[dt]|passwd|pwd|passphrase|passord|kennwort|mot de passe|contrase|senha|wachtwoord|adgangskode|"
    "l\u00f6senord|salasana|heslo|jelsz|parol|has\u0142o|\u0441\u043b\u043e\u0432|"
    "\u043f\u0430\u0440\u043e\u043b|\u5bc6\u7801|\u5bc6\u78bc|\u30d1\u30b9\u30ef\u30fc\u30c9|\u6697\u53f7",
    re.IGNORECASE,
)
# What pam_unix, pam_sss and pam_krb5 ask if a password has expired.
_CHANGE: Final = re.compile(
    r"\((current|new)\)|\b(current|old|new|retype|re-enter|expired)\b.*pass|pass.*\b(again|expired)\b", re.IGNORECASE
)
# pam_oath, google-authenticator, Duo, SecurID, sssd, FreeIPA, privacyIDEA.
_SECOND: Final = re.compile(
    r"one.?time|\b(otp|totp|hotp|oath|token(code)?|passcode|code|pin|factor|yubi\w*|duo|challenge|response)\b",
    re.IGNORECASE,
)


def kind_of(question: str, user: str, host: str) -> Question:
    """What ssh's prompt asks for. ssh's own part is ignored, as it may contain a host name such as `otp-server`."""
    if question == f"{user}@{host}'s password:":
        return Question.PASSWORD
    asked = question.removeprefix(f"({user}@{host}) ")
    if _CHANGE.search(asked):
        return Question.CHANGE_PASSWORD
    # The prompt may name the account: "Password for otp@EXAMPLE.COM:".
    asked = re.sub(r"\S*@\S*", "", asked)
    if _SECOND.search(asked) or not _PASSWORD.search(asked):
        return Question.OTHER
    return Question.PASSWORD
