"""The account of a mailbox: what is on the server, what is stored, and why the rest is not (spec G6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import Count, Min, Q
from django.http import HttpRequest

from accounts.models import Mailbox
from mailstore.folder_list import NOT_FOLLOWED
from mailstore.models import ComparedFolder, ComparedMessage, Comparison, Folder, Message, Reason
from mailstore.tasks import compare_mailbox
from organizations import audit
from organizations.models import User
from organizations.nudging import nudge
from protocols.imap.plan import UidSet


@dataclass(frozen=True, slots=True)
class Share:
    """So many messages, for one reason."""

    reason: Reason
    messages: int

    @property
    def words(self) -> str:
        return self.reason.label


@dataclass(frozen=True, slots=True)
class Line:
    """One folder. Compared: on_server = stored + the sum of `skipped`.

    on_server:  None where it is not known.
    skipped:    on the server only; `only_here` are here only.
    hidden:     messages that left the server and are hidden here; the first of them since `hidden_since`.
    looked_at:  when the numbers were taken: by the comparison, else by the last sync that found news.
    """

    folder: Folder
    on_server: int | None
    stored: int
    skipped: tuple[Share, ...]
    only_here: tuple[Share, ...]
    hidden: int
    hidden_since: datetime | None
    words: str
    looked_at: datetime | None
    is_compared: bool

    @property
    def not_downloaded(self) -> str:
        """Why nothing of it is here, where no number says so already."""
        if self.folder.is_followed or self.skipped or self.stored:
            return ""
        if self.folder.special_use in NOT_FOLLOWED:
            return "Not downloaded: left out unless ticked"
        return "Not downloaded: not among the chosen folders"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """comparison: None before anybody asked for one. named: messages that are on one side only, at most a hundred."""

    lines: list[Line]
    comparison: Comparison | None
    named: list[ComparedMessage]

    @property
    def is_compared(self) -> bool:
        return self.comparison is not None and self.comparison.compared_at is not None

    @property
    def on_server(self) -> int:
        return sum(line.on_server or 0 for line in self._counted)

    @property
    def stored(self) -> int:
        return sum(line.stored for line in self._counted)

    @property
    def skipped(self) -> tuple[Share, ...]:
        return _summed(line.skipped for line in self._counted)

    @property
    def only_here(self) -> tuple[Share, ...]:
        return _summed(line.only_here for line in self._counted)

    @property
    def unknown(self) -> int:
        """Folders of which the server did not say how much they hold."""
        return sum(1 for line in self.lines if line.on_server is None)

    @property
    def sentence(self) -> str:
        """ "1,204 on the server = 1,180 stored + 24 older than the chosen period"."""
        parts = [f"{self.stored:,} stored", *(f"{share.messages:,} {share.words}" for share in self.skipped)]
        return f"{self.on_server:,} on the server = {' + '.join(parts)}"

    @property
    def _counted(self) -> list[Line]:
        return [line for line in self.lines if line.is_compared or not self.is_compared]


def ask(mailbox: Mailbox, *, by: User, now: datetime, request: HttpRequest | None = None) -> None:
    """Have the mailbox compared with its server now; one that runs already is left to it."""
    with transaction.atomic():
        row = _row(mailbox)
        if row.is_under_way(now):
            return
        marks = {"requested_at": now, "leased_until": None, "tries": 0, "folder_name": "", "done": 0, "total": 0}
        Comparison.objects.filter(pk=row.pk, fence=row.fence).update(**marks, trouble="")
        audit.record("mailbox.compared", organization=mailbox.organization, actor=by, target=mailbox, request=request)
    nudge(compare_mailbox, mailbox.pk)


def _row(mailbox: Mailbox) -> Comparison:
    try:
        with transaction.atomic():
            Comparison.objects.get_or_create(mailbox=mailbox)
    except IntegrityError:  # another request was quicker
        pass
    return Comparison.objects.select_for_update().get(mailbox=mailbox)


def reconcile(mailbox: Mailbox) -> Reconciliation:
    """Read the account of a mailbox: five queries, however many folders and messages there are."""
    comparison = Comparison.objects.filter(mailbox=mailbox).first()
    compared = {row.folder_id: row for row in ComparedFolder.objects.filter(comparison_id=mailbox.pk)}
    counts = _counts(mailbox)
    folders = sorted(
        mailbox.folders.filter(vanished_at=None),
        key=lambda folder: (folder.special_use != Folder.SpecialUse.INBOX, folder.name.casefold()),
    )
    lines = [
        _line(folder, compared.get(folder.pk), counts.get(folder.pk, _Counts()))
        for folder in folders
        if folder.is_selectable or folder.pk in compared or folder.pk in counts
    ]
    named = ComparedMessage.objects.filter(compared__comparison=mailbox.pk).select_related("compared__folder")
    return Reconciliation(lines, comparison, list(named.order_by("compared__folder__name", "reason", "-uid")))


class _Counts(NamedTuple):
    """Messages of a folder: listed, hidden, and since when the first of these is."""

    shown: int = 0
    hidden: int = 0
    hidden_since: datetime | None = None


def _counts(mailbox: Mailbox) -> dict[int, _Counts]:
    """By folder; one aggregate."""
    rows = Message.objects.filter(mailbox=mailbox).order_by().values_list("folder")
    counted = rows.annotate(
        shown=Count("pk", filter=Q(vanished_at=None)), hidden=Count("vanished_at"), since=Min("vanished_at")
    )
    return {folder: _Counts(shown, hidden, since) for folder, shown, hidden, since in counted}


def _line(folder: Folder, compared: ComparedFolder | None, counts: _Counts) -> Line:
    shown, hidden, since = counts
    if compared is not None:
        return Line(
            folder,
            compared.on_server,
            compared.stored,
            _shares(compared.skipped),
            _shares(compared.only_here),
            hidden,
            since,
            compared.words or folder.problem,
            compared.looked_at,
            is_compared=True,
        )
    missing = len(UidSet.parse(folder.missing))
    known = folder.uidvalidity is not None and not folder.missing
    on_server = folder.exists if known else None
    left = folder.exists - shown if known else 0
    skipped = (Share(_reason(folder), left),) if left > 0 else ()
    only_here = (Share(Reason.GUARDED, missing),) if missing else ()
    return Line(
        folder, on_server, shown, skipped, only_here, hidden, since, folder.problem, folder.synced_at, is_compared=False
    )


def _reason(folder: Folder) -> Reason:
    """Why less is stored than the server has, as far as the syncs know."""
    if not folder.is_followed:
        return Reason.LEFT_OUT if folder.special_use in NOT_FOLLOWED else Reason.NOT_CHOSEN
    return Reason.PERIOD if folder.synced_at and folder.covers_from else Reason.WAITING


def _shares(counts: Mapping[str, int]) -> tuple[Share, ...]:
    return tuple(Share(reason, counts[reason.value]) for reason in Reason if counts.get(reason.value))


def _summed(shares: Iterable[tuple[Share, ...]]) -> tuple[Share, ...]:
    total: Counter[str] = Counter()
    for each in shares:
        total.update({share.reason.value: share.messages for share in each})
    return _shares(total)
