"""What a reader thinks of a message, for filters that learn and for other programs: `$Junk`, `$NotJunk`.

The keywords are registered (IANA, IMAP keywords; RFC 9051, 2.3.2) and exclude each other. They are set in the folder
from which a message is moved, so that they travel with it in the same step. A server that keeps no keywords, or will
not have these, moves the message all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from mailstore.models import Folder
from organizations.faultpoints import faultpoint
from protocols.errors import Refused
from protocols.imap.changing import ChangeableFolder
from protocols.imap.plan import UidSet
from protocols.imap.session import ImapSession

log = logging.getLogger(__name__)

JUNK: Final = "$Junk"
NOT_JUNK: Final = "$NotJunk"


def verdict(source: Folder, target: Folder) -> str:
    """The keyword that a move between these folders means; empty where it says nothing, as throwing spam away does."""
    use = Folder.SpecialUse
    if target.special_use == use.JUNK:
        return JUNK
    return NOT_JUNK if source.special_use == use.JUNK and target.special_use != use.TRASH else ""


def mark(session: ImapSession, opened: ChangeableFolder, here: Mapping[int, frozenset[str]], keyword: str) -> None:
    """Give messages of the open folder the keyword and take the opposite from them. here: their flags by UID.

    May be done twice. Raises MailError only where the conversation is over.
    """
    opposite = NOT_JUNK if keyword == JUNK else JUNK
    if not keyword or not opened.keeps(keyword):
        return
    marked = UidSet(uid for uid, flags in here.items() if not _has(flags, keyword))
    cleared = UidSet(uid for uid, flags in here.items() if _has(flags, opposite))
    try:
        opened.change_flags(cleared, remove=[opposite])
        opened.change_flags(marked, add=[keyword])
    except Refused as exc:
        if not session.usable:
            raise
        log.info("A server keeps no %s: %s", keyword, type(exc).__name__)
    faultpoint("verdict marked")


def unmark(opened: ChangeableFolder, stayed: Mapping[int, frozenset[str]], keyword: str) -> None:
    """The move was refused: what got the keyword for it loses it again. stayed: flags by UID from before."""
    marked = UidSet(uid for uid, flags in stayed.items() if not _has(flags, keyword))
    if keyword and opened.keeps(keyword):
        opened.change_flags(marked, remove=[keyword])


def _has(flags: frozenset[str], keyword: str) -> bool:
    return keyword.lower() in {flag.lower() for flag in flags}
