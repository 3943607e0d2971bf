"""Single messages that a server refuses to give, corrupt ones mostly: asked for again, less and less often (fault R14).

They count as dealt with, so that the rest of the folder goes on; the folder remembers their UIDs and how often each
was refused.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from django.utils import timezone

from mailstore.models import Folder
from mailstore.run import Run
from protocols.errors import Refused
from protocols.imap.plan import UidSet

log = logging.getLogger(__name__)

MOST_TRIES = 5
FIRST_WAIT = timedelta(hours=1)  # then four times as long each time: the fifth try is two weeks after the first


def due(folder: Folder, now: datetime) -> UidSet:
    """UIDs that were refused and whose time has come."""
    if folder.refused_until is None or folder.refused_until > now:
        return UidSet()
    return UidSet(int(uid) for uid, tries in folder.refused.items() if tries < MOST_TRIES)


def blame_the_folder(run: Run, folder: Folder) -> None:
    """Before a refusal is put down to a message: raise Refused where its folder is gone or another one by now.

    Cyrus refuses every message of a folder that was renamed while it was open.
    """
    if run.session.examine(folder.wire_name).uidvalidity != folder.uidvalidity:
        raise Refused("The folder was made anew while it was read.")


def settle(run: Run, folder: Folder, *, asked: UidSet, refused: Collection[int]) -> None:
    """Remember what was refused of what was `asked`; what came after all, or is gone, is forgotten."""
    if not folder.refused and not refused:
        return
    counted = {int(uid): tries for uid, tries in folder.refused.items()}
    again = {uid: counted.get(uid, 0) + 1 for uid in refused}
    now_refused = {uid: tries for uid, tries in counted.items() if uid not in asked} | again
    if now_refused == counted:
        return
    open_tries = [tries for tries in now_refused.values() if tries < MOST_TRIES]
    until = timezone.now() + FIRST_WAIT * 4 ** (min(open_tries) - 1) if open_tries else None
    if refused:
        log.warning("The server refused %s messages of folder %s: UID %s", len(refused), folder.pk, list(refused))
    run.write_folder(folder, refused=now_refused, refused_until=until, problem=_problem(len(now_refused)))


def _problem(count: int) -> str:
    words = "1 message" if count == 1 else f"{count} messages"
    return f"The server could not give us {words}; the rest is stored." if count else ""
