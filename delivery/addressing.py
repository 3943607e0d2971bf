"""Reading the addresses a person typed into To, Cc or Bcc (RFC 5322, 3.4), each with its own clear error."""

from __future__ import annotations

import re

import email_validator

from protocols.message.addresses import Address, parse_addresses

MAX_RECIPIENTS = 500

# Many companies have mail servers of their own under .local (RFC 6762 reserves it, their networks do not care).
if "local" in email_validator.SPECIAL_USE_DOMAIN_NAMES:
    email_validator.SPECIAL_USE_DOMAIN_NAMES.remove("local")


def read_addresses(text: str) -> tuple[list[Address], list[str]]:
    """Split what was typed at commas, semicolons and line ends; return the addresses and a sentence for each bad one.

    Names are kept, domains come as A-labels in lower case (RFC 5890), and an address typed twice counts once.
    """
    flat = ", ".join(line for line in text.splitlines() if line.strip())
    parsed = parse_addresses([flat.encode()], "utf-8", limit=MAX_RECIPIENTS + 1)
    good: dict[str, Address] = {}
    errors: list[str] = []
    for typed in parsed.addresses:
        if typed.name and typed.address and f"<{typed.address}>" not in flat.replace("< ", "<").replace(" >", ">"):
            errors.append(f"“{_as_typed(typed, flat)}” is unclear: write “Name <address>”, or commas between.")
            continue
        try:
            address = checked_address(typed.address or typed.name)
        except ValueError as exc:
            errors.append(f"“{shown(typed)}” is not an email address: {exc}")
        else:
            good.setdefault(address.casefold(), Address(typed.name, address))
    if not parsed.addresses and flat.strip(" ,;"):
        errors.append(f"“{flat[:100]}” is not an email address: An email address must have an @-sign.")
    return list(good.values()), list(dict.fromkeys(errors))


def _as_typed(address: Address, text: str) -> str:
    """The piece of `text` that was read as `address`, its words in the order they stand in."""
    pieces = [piece.strip() for piece in re.split("[,;]", text)]
    whole = (piece for piece in pieces if address.name in piece and address.address in piece)
    return next(whole, f"{address.name} {address.address}")


def checked_address(text: str) -> str:
    """Return the address as the envelope takes it. Raises ValueError with a sentence that says what is wrong."""
    valid = email_validator.validate_email(
        text, check_deliverability=False, test_environment=True, allow_quoted_local=True, globally_deliverable=False
    )
    return f"{valid.local_part}@{valid.ascii_domain}"


def shown(address: Address) -> str:
    """The address as a person writes it: with its name, quoted where it must be."""
    if not address.name or not address.address:
        return address.address or address.name
    name = address.name
    if any(character in '()<>[]:;@\\,."' for character in name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{name} <{address.address}>"
