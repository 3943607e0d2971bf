"""Search over every mailbox whose mail a person may read."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from accounts.models import Mailbox
from mailstore.models import Message
from mailstore.rows import SHOWN, found_rows
from mailstore.search_places import unknown_places
from mailstore.search_words import LONGEST_QUERY
from mailstore.searching import Query, newest_found, parse
from organizations.caching import private
from organizations.requests import SignedInRequest


@dataclass(frozen=True, slots=True)
class SearchPage:
    """What was asked for: `q`, and the one mailbox to look in, if it is only one."""

    text: str
    mailbox_pk: int | None

    @classmethod
    def of(cls, request: HttpRequest) -> SearchPage:
        asked = request.GET.get("mailbox", "")
        mailbox_pk = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 19 else None
        return cls(request.GET.get("q", "").strip()[:LONGEST_QUERY], mailbox_pk)

    @property
    def query(self) -> dict[str, str]:
        """What stands in the address of this search."""
        only = {"mailbox": str(self.mailbox_pk)} if self.mailbox_pk is not None else {}
        return {"q": self.text, **only}

    @property
    def url(self) -> str:
        return f"{reverse('mailstore:search')}?{urlencode(self.query)}"

    @property
    def everywhere(self) -> str:
        """The address of the same search in all mailboxes."""
        return SearchPage(self.text, None).url

    @property
    def words(self) -> list[str]:
        """Beginnings of words that a result shows marked."""
        return [word for phrase in self._parsed.phrases for word in phrase.words]

    @property
    def complaints(self) -> list[str]:
        """What in the text was not understood, as sentences."""
        return self._parsed.complaints

    @property
    def _parsed(self) -> Query:
        return parse(self.text, timezone.get_current_timezone())


@require_GET
@private
def search(request: SignedInRequest) -> HttpResponse:
    """`?q=` what to find, `?mailbox=` in one mailbox only, `?after=` the next page."""
    context = search_context(request)
    rows_only = "after" in request.GET and request.htmx
    return render(request, "mailstore/_rows.html" if rows_only else "mailstore/search.html", context)


def search_context(request: SignedInRequest) -> dict[str, object]:
    """The page of results that the request asks for. 404 for a mailbox that the person may not read."""
    asked = SearchPage.of(request)
    now = timezone.now()
    mailboxes = Mailbox.objects.readable_by(request.user, now)
    only = get_object_or_404(mailboxes, pk=asked.mailbox_pk) if asked.mailbox_pk is not None else None
    live = Message.objects.live().select_related("folder", "mailbox").only(*SHOWN)
    messages = live.readable_by(request.user, now) if only is None else live.filter(mailbox=only)
    page = newest_found(messages, asked.text, request.GET.get("after", ""))
    complaints = asked.complaints + unknown_places(asked.text, mailboxes if only is None else [only])
    found_in = {message.mailbox_id for message in page.rows} | ({only.pk} if only else set())
    in_panel = set(Mailbox.objects.in_panel_of(request.user, now).filter(pk__in=found_in).values_list("pk", flat=True))
    leads_back = only is not None and only.pk in in_panel
    return {
        "search": asked,
        "complaints": complaints,
        "only": only,
        "back": reverse("mailstore:mailbox", args=[asked.mailbox_pk]) if leads_back else reverse("mailstore:mail"),
        "page": found_rows(page, asked.query, asked.words, in_panel),
        "pane": "list",
    }
