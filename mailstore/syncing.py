"""The sync of one mailbox, from the login to the next due time (spec G1, G2, G4, G5).

Read-only on the server: EXAMINE and PEEK. No transaction is open while we talk to it; every write names the claim.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from django.utils import timezone

from accounts.models import Mailbox
from accounts.sessions import imap_session, kept_imap_session
from mailstore import folder_sync, fulltext, large, pulling, runs, writers
from mailstore.endings import settled
from mailstore.folder_list import Listed, listed_entries, update_folders
from mailstore.folder_sync import FolderPlan
from mailstore.heartbeat import heartbeat
from mailstore.models import Folder
from mailstore.packs import PackWriter
from mailstore.readers import ReaderProcess
from mailstore.run import PROMPT_BUDGET, TIME_BUDGET, Report, Run, rare_collections, report_nothing
from mailstore.writing import Claim
from organizations.faultpoints import faultpoint
from protocols.errors import Deferred, Refused
from protocols.imap.folders import FolderEntry
from protocols.imap.responses import response_code
from protocols.imap.session import ImapSession
from protocols.steps import Step, StepName

log = logging.getLogger(__name__)

MANY = 1_000  # messages that are worth a process of their own for reading
OF_ONE_FOLDER = frozenset({"INUSE", "SERVERBUG"})  # codes (RFC 5530) that say little about other folders
_NO_LETTERS = re.compile(r"[\W\d_]+")


def sync(mailbox_pk: int, fence: int, *, report: Report = report_nothing, prompt: bool = False) -> None:
    """Bring the store in line with the server, under the claim `fence`, and settle when the mailbox is due again.

    prompt: somebody waits, in a slot that is kept free for that: on a kept session where there is one, and only for
    some seconds. What takes longer goes on in the slots for all.
    Failures end in the mailbox's schedule and state, in words; a lost claim ends quietly. Only faults of our own are
    raised.
    """
    mailbox = Mailbox.objects.select_related("organization", "provider").filter(pk=mailbox_pk).first()
    if mailbox is None:
        return
    claim = Claim(mailbox_pk, fence)
    with settled(mailbox, claim):
        with (
            heartbeat(claim),
            rare_collections(),
            PackWriter(mailbox_pk, fence) as packs,
            _session(mailbox, prompt=prompt) as (session, entries),
        ):
            budget = PROMPT_BUDGET if prompt else TIME_BUDGET
            run = Run(mailbox, claim, session, packs, report=report, budget=budget)
            _sync_folders(run, entries)
            run.tell(now=True)
        runs.finish(mailbox, claim, timezone.now(), arrived=run.arrived, stored=run.stored)


@contextmanager
def _session(mailbox: Mailbox, *, prompt: bool) -> Iterator[tuple[ImapSession, list[FolderEntry]]]:
    """A session and what the server lists, with the states of folders where it tells them along."""
    if prompt:
        with kept_imap_session(
            mailbox, listed_entries, logged_in=partial(logged_in, mailbox), observe=pass_step
        ) as asked:
            yield asked
    else:
        with imap_session(mailbox, pass_step) as session:
            logged_in(mailbox)
            yield session, listed_entries(session)


def logged_in(mailbox: Mailbox) -> None:
    runs.connected(mailbox, timezone.now())
    faultpoint("login noted")


def pass_step(step: Step) -> None:
    """The conversation begins below us, where no stop can be named."""
    if step.name is StepName.GREETING:
        faultpoint("server greeted")
    elif step.name is StepName.LOGIN:
        faultpoint("login answered")


def _sync_folders(run: Run, entries: list[FolderEntry]) -> None:
    """Look at every folder first, so that the total is honest, but show the newest page of the INBOX before that."""
    plans: list[FolderPlan] = []
    for listed in update_folders(run, entries):
        folder = listed.folder
        planned = _attempt(run, listed)
        if planned is None:
            continue
        run.expect(planned.messages)
        plans.append(planned)
        if folder.special_use == Folder.SpecialUse.INBOX and planned.wanted and planned.is_open:
            run.enter(folder)
            page = large.put_aside(run, folder, pulling.first_page(planned.wanted))
            pulling.pull(run, folder, page, new_from=planned.announced_from)
            faultpoint("newest page stored")
    with ExitStack() as stack:
        if sum(planned.messages for planned in plans) >= MANY:
            run.reader = stack.enter_context(ReaderProcess(with_postings=fulltext.wants_postings()))
            if writers.database_works_beside():
                run.writer = stack.enter_context(writers.WriterThread())
        for planned in plans:
            _carry_out(run, planned)


def _carry_out(run: Run, planned: FolderPlan) -> None:
    run.check_time()
    try:
        folder_sync.sync_folder(run, planned)
    except (Refused, Deferred) as exc:
        _note_refusal(run, planned.folder, exc)


def _attempt(run: Run, listed: Listed) -> FolderPlan | None:
    """Look at a folder; one that the server does not open does not stop the others (fault R12)."""
    folder = listed.folder
    try:
        planned = folder_sync.look(run, folder, listed.state)
    except (Refused, Deferred) as exc:
        _note_refusal(run, folder, exc)
        return None
    if folder.problem and not folder.refused:
        run.write_folder(folder, problem="")
    return planned


def _note_refusal(run: Run, folder: Folder, refusal: Refused | Deferred) -> None:
    """A single folder was refused, for now or for good. The whole run ends where the session is of no use any more, and
    where the server is busy with more than this folder; one that fails at the INBOX may be.
    """
    if not run.session.usable:
        raise Deferred("The server ended the conversation.", reply=refusal.reply) from refusal
    code, _ = response_code(refusal.reply)
    if isinstance(refusal, Deferred) and (code not in OF_ONE_FOLDER or folder.special_use == Folder.SpecialUse.INBOX):
        raise refusal
    log.info("Folder %s was refused: %s", folder.pk, refusal.reply)
    problem = f"The server does not open it: {refusal.reply or refusal}"[:300]
    if _NO_LETTERS.sub("", problem) != _NO_LETTERS.sub("", folder.problem):  # some servers add the time to their words
        run.write_folder(folder, problem=problem)
    faultpoint("refusal noted")
