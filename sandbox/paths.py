"""The arguments of MAIL FROM and RCPT TO: a path, and its parameters (RFC 5321, 4.1.2)."""

from __future__ import annotations

import re
from typing import Final

from sandbox.postroom import MAX_SIZE, Reply

_PATH: Final = re.compile(r"<(?:@[^:>]*:)?((?:\"(?:\\.|[^\"\\])*\"|[^\s<>\"@])+@[^\s<>@]+|)>((?: +[^ ]+)*) *")


def read_path(rest: str, keyword: str) -> tuple[str, dict[str, str]] | None:
    """Split `FROM:<address> KEY=VALUE` into address and parameters; None when it does not look like that."""
    if rest[: len(keyword)].upper() != keyword:
        return None
    match = _PATH.fullmatch(rest[len(keyword) :].strip())
    if match is None:
        return None
    pairs = (word.partition("=") for word in match[2].split())
    return match[1], {key.upper(): value.upper() for key, _, value in pairs}


def refuse_parameters(parameters: dict[str, str], missing_utf8: bool) -> Reply | None:
    """What is wrong with the parameters of MAIL FROM; None where nothing is."""
    unknown = parameters.keys() - {"SIZE", "BODY", "SMTPUTF8", "AUTH"}
    if unknown:
        return Reply(555, "5.5.4", "MAIL FROM takes SIZE, BODY, SMTPUTF8 and AUTH here")
    if parameters.get("BODY", "7BIT") not in {"7BIT", "8BITMIME"}:
        return Reply(501, "5.5.4", "BODY is 7BIT or 8BITMIME")
    size = parameters.get("SIZE", "0")
    if not (size.isascii() and size.isdigit()) or len(size) > 20:
        return Reply(501, "5.5.4", "SIZE is a number of octets")
    if int(size) > MAX_SIZE:
        return Reply(552, "5.3.4", f"The message is larger than {MAX_SIZE // 2**20} MB")
    if missing_utf8:
        return Reply(553, "5.6.7", "That address needs SMTPUTF8")
    return None
