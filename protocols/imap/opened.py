"""What a server says of a folder that it opens, or whose state it tells from outside (RFC 9051, 7; RFC 7162)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from protocols.errors import ProtocolViolation
from protocols.imap import fetching
from protocols.imap.plan import FolderState, UidSet
from protocols.imap.responses import HIGHEST_MODSEQ, Untagged, Value, response_code, tokens, whole_number

STATUS_ITEMS = b"MESSAGES UIDNEXT UIDVALIDITY"


@dataclass(frozen=True, slots=True)
class Opened:
    """A folder as EXAMINE or SELECT reported it.

    state:    uidnext is 0 where the server did not tell it.
    resynced: the server told all that changed since the state we named (QRESYNC, RFC 7162, 3.2.5):
    vanished: UIDs that left, also such as we never saw,
    flags:    and flags by UID of what was changed or is new.
    permanent: flags that stay when a session sets them (PERMANENTFLAGS, RFC 9051, 6.3.2), in lower case; None where the
               server does not say, which means any.
    """

    state: FolderState
    resynced: bool = False
    vanished: UidSet = field(default_factory=UidSet)
    flags: dict[int, frozenset[str]] = field(default_factory=dict)
    permanent: frozenset[str] | None = None


def read_opened(responses: Iterable[Untagged]) -> Opened:
    """Read the answers to EXAMINE or SELECT as they stream in. Raises ProtocolViolation without UIDVALIDITY."""
    exists = 0
    codes: dict[str, str] = {}
    vanished: list[UidSet] = []
    flags: dict[int, frozenset[str]] = {}
    for response in responses:
        match response.kind:
            case b"EXISTS":
                exists = whole_number(b"%d" % response.number)
            case b"OK":
                code, argument = response_code(response.text)
                codes[code] = argument
            case b"VANISHED":
                vanished.append(_earlier(response))
            case b"FETCH":
                found = fetching.attributes(response)
                if b"UID" in found and b"FLAGS" in found:
                    flags[whole_number(found[b"UID"])] = fetching.flags_of(found)
    if "UIDVALIDITY" not in codes:
        raise ProtocolViolation("The server gives its messages no lasting numbers (UIDVALIDITY).")
    state = FolderState(
        _number(codes["UIDVALIDITY"]),
        _number(codes["UIDNEXT"]) if "UIDNEXT" in codes else 0,
        exists,
        _modseq(codes.get("HIGHESTMODSEQ")),
        _identity(codes.get("MAILBOXID", "")),
    )
    gone = UidSet(span for part in vanished for span in part.ranges())
    return Opened(state, vanished=gone, flags=flags, permanent=_flags_in(codes.get("PERMANENTFLAGS")))


def _flags_in(argument: str | None) -> frozenset[str] | None:
    """The flags of a code's argument, "(\\Seen $Junk \\*)"."""
    return None if argument is None else frozenset(argument.strip("() ").lower().split())


def read_status(response: Untagged) -> tuple[bytes, FolderState] | None:
    """Read one STATUS response: the folder's name as sent, and its state; None where it tells no UIDVALIDITY."""
    values = tokens(response.parts)
    match values:
        case [bytes() as raw_name, list() as items] if len(items) % 2 == 0:
            numbers = dict(zip(map(_word, items[::2]), items[1::2], strict=True))
        case _:
            raise ProtocolViolation("The server did not tell the state of the folder.", reply=response.text[:200])
    if "UIDVALIDITY" not in numbers:
        return None
    state = FolderState(
        whole_number(numbers["UIDVALIDITY"]),
        whole_number(numbers.get("UIDNEXT", b"1")),
        whole_number(numbers.get("MESSAGES", b"0")),
        _modseq(_word(numbers.get("HIGHESTMODSEQ"))),
    )
    return raw_name, state


def status_items(capabilities: frozenset[str]) -> bytes:
    """What to ask of STATUS: HIGHESTMODSEQ too where changes are counted (RFC 7162).

    Not MAILBOXID (RFC 8474): Cyrus 3.6 answers it with whatever lies in its memory. Opening the folder tells it.
    """
    return b"(" + STATUS_ITEMS + (b" HIGHESTMODSEQ" if counts_changes(capabilities) else b"") + b")"


def counts_changes(capabilities: frozenset[str]) -> bool:
    """Whether the server keeps MODSEQ; it may begin only when asked (RFC 7162, 3.1)."""
    return bool({"CONDSTORE", "QRESYNC"} & capabilities)


def _earlier(response: Untagged) -> UidSet:
    """The UIDs of `VANISHED (EARLIER)`. One without that mark is news of this moment, which nobody asked for (R9)."""
    match tokens(response.parts):
        case [[bytes() as mark], bytes() as uids] if mark.upper() == b"EARLIER":
            return UidSet.parse(uids.decode("ascii", "replace"))
    return UidSet()


def _text(value: Value) -> str:
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    return value.decode("ascii", "replace")[:255] if isinstance(value, bytes) else ""


def _word(value: Value) -> str:
    return _text(value).upper()


def _identity(argument: str) -> str:
    return argument.strip("()")[:255]


def _number(text: str) -> int:
    return whole_number(text.encode())


def _modseq(text: str | None) -> int | None:
    """0 says that this folder keeps no MODSEQ (RFC 7162, 3.1.2.2)."""
    return whole_number(text.encode(), highest=HIGHEST_MODSEQ) or None if text else None
