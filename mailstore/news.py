"""The quick way for new mail: its server told of news, so the INBOX alone is looked at, on a session that was kept.

Neither the list of folders nor any other folder is asked for; the schedule sees to them in its time. Where nothing
changed, it costs one STATUS, two queries and the schedule's row twice.
"""

from __future__ import annotations

import logging
from functools import partial

from django.utils import timezone

from accounts.models import Mailbox
from accounts.sessions import kept_imap_session
from mailstore import folder_sync, runs
from mailstore.endings import settled
from mailstore.heartbeat import heartbeat
from mailstore.models import Folder
from mailstore.packs import PackWriter
from mailstore.run import PROMPT_BUDGET, Run
from mailstore.syncing import logged_in, pass_step
from mailstore.writing import Claim
from protocols.errors import Refused
from protocols.imap.plan import FolderState
from protocols.imap.session import ImapSession

log = logging.getLogger(__name__)

INBOX = b"INBOX"


def fetch(claim: Claim, mailbox: Mailbox) -> bool:
    """Fetch the news of the INBOX of `mailbox`, loaded with its organization and provider, under `claim`.

    False where more is to be done at once: other news or a request came meanwhile, or the INBOX alone does not tell,
    or was refused.
    Failures end in the mailbox's schedule and state, in words.
    """
    folder = Folder.objects.filter(mailbox=mailbox, special_use=Folder.SpecialUse.INBOX, vanished_at=None).first()
    if folder is None or not folder.is_followed or not folder_sync.is_settled(folder):
        runs.needs_all(claim, timezone.now())
        return False
    with settled(mailbox, claim):
        return _fetch(claim, mailbox, folder)
    return True  # it failed, and waits


def _fetch(claim: Claim, mailbox: Mailbox, folder: Folder) -> bool:
    with (
        heartbeat(claim),
        kept_imap_session(mailbox, _state, logged_in=partial(logged_in, mailbox), observe=pass_step) as (
            session,
            state,
        ),
        PackWriter(mailbox.pk, claim.fence) as packs,
    ):
        run = Run(mailbox, claim, session, packs, budget=PROMPT_BUDGET, is_brief=True)
        try:
            planned = folder_sync.look(run, folder, state)
            if planned is not None:
                folder_sync.sync_folder(run, planned)
        except Refused as exc:
            log.info("Folder %s was refused: %s", folder.pk, exc.reply)
            runs.needs_all(claim, timezone.now())  # a whole sync notes it at the folder, and goes on with the others
            return False
        now = timezone.now()
        return runs.finish_news(mailbox, claim, now, arrived=run.arrived, changed=planned is not None)


def _state(session: ImapSession) -> FolderState | None:
    try:
        return session.status(INBOX)
    except Refused:
        return None  # the login worked; what is wrong with the folder is found out where it is looked at
