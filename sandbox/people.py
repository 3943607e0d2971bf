"""Who lives at sandbox.test, and the one password they share."""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOMAIN: Final = "sandbox.test"
SHARED: Final = f"support@{DOMAIN}"


@dataclass(frozen=True, slots=True)
class Person:
    """One mailbox. `job` is what the person does at Tandem Lane, the invented company of the seeded mail."""

    name: str
    address: str
    job: str


PEOPLE: Final = (
    Person("Alice Brandt", f"alice@{DOMAIN}", "Purchasing"),
    Person("Bob Okafor", f"bob@{DOMAIN}", "Warehouse and deliveries"),
    Person("Carol Nowak", f"carol@{DOMAIN}", "Sales"),
    Person("Tandem Lane Support", SHARED, "Shared by everybody"),
)
ADDRESSES: Final = frozenset(person.address for person in PEOPLE)

_TREES: Final = (
    *("maple", "birch", "cedar", "aspen", "linden", "willow", "rowan", "alder", "hazel", "walnut"),
    *("poplar", "juniper", "chestnut", "sycamore", "larch", "elm"),
)
_ANIMALS: Final = (
    *("otter", "heron", "badger", "marten", "lynx", "plover", "beaver", "curlew", "hare", "falcon"),
    *("stoat", "puffin", "wren", "sparrow", "newt", "vole"),
)


class PasswordFileError(Exception):
    """The password file cannot be used; the message says why and what to do."""


def resident(address: str) -> str | None:
    """Return the mailbox address that `address` belongs to, or None.

    Case does not matter, and "alice+orders@sandbox.test" is alice (sub-addressing, RFC 5233).
    """
    local, at, domain = address.lower().rpartition("@")
    plain = local.partition("+")[0] + at + domain
    return plain if plain in ADDRESSES else None


def new_password() -> str:
    """Return a password that a person can read aloud, such as "maple-otter-4821" (about 21 bits: loopback only)."""
    return f"{secrets.choice(_TREES)}-{secrets.choice(_ANIMALS)}-{secrets.randbelow(9000) + 1000}"


def load_password(path: Path) -> str:
    """Return the password kept in `path`; make one, readable by its owner only, when the file is missing.

    Raises PasswordFileError when the file is empty, is not text, or cannot be read or written.
    """
    try:
        if not path.exists():
            _write_private(path, new_password())
        password = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as exc:
        raise PasswordFileError(f"The password file {path} is not UTF-8 text. Write one line of text into it.") from exc
    except OSError as exc:
        raise PasswordFileError(f"The password file {path} cannot be used: {exc.strerror}.") from exc
    if not password:
        raise PasswordFileError(f"The password file {path} is empty. Write a password into it, or delete the file.")
    return password


def _write_private(path: Path, text: str) -> None:
    """Write through a second file, so that a kill leaves either no password or a whole one."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    draft.replace(path)


@dataclass(frozen=True, slots=True)
class Doorman:
    """Knows the password and says who may come in."""

    password: str

    def admits(self, username: str, password: str) -> str | None:
        """Return the mailbox address when the password fits, else None. The user name is the whole address."""
        fits = hmac.compare_digest(password.encode(), self.password.encode())
        address = username.lower()
        return address if fits and address in ADDRESSES else None
