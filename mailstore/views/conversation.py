"""One conversation in the reading pane, by itself as a fragment or with the list beside it as a page."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from accounts.models import Mailbox
from mailstore.conversations import show_conversation, show_message
from mailstore.models import Conversation, Folder, Message
from mailstore.rows import folder_rows
from mailstore.views.panel import PanelRequest, panel_context
from mailstore.views.search import SearchPage, search_context
from organizations.caching import private
from organizations.requests import SignedInRequest


@require_GET
@private
@vary_on_headers("HX-Request", "HX-Target")
def conversation(request: PanelRequest, pk: int) -> HttpResponse:
    """`?folder=` and `?q=` say beside which list it is read, `?message=` which message is meant."""
    now = timezone.now()
    readable = Conversation.objects.readable_by(request.user, now)
    chosen = get_object_or_404(readable.select_related("mailbox__schedule", "shown_in__mailbox__schedule"), pk=pk)
    chosen = chosen.shown_in or chosen  # an old address of what was joined to another conversation since
    box = chosen.mailbox
    in_panel = Mailbox.objects.in_panel_of(request.user, now).filter(pk=box.pk).exists()
    before, wanted, asked = (_number(request.GET.get(name, "")) for name in ("before", "message", "folder"))
    folder = _folder(chosen, asked, wanted) if in_panel else None
    thread = show_conversation(chosen, folder_pk=folder.pk if folder else None, before=before, wanted=wanted)
    context = {
        "conversation": chosen,
        "mailbox": box,
        "thread": thread,
        "folder": folder,
        "may_change": in_panel,
        "may_send": in_panel and box.can_send,
        "search": SearchPage.of(request),
        "opened": f"m{wanted}" if request.GET.get("q") else f"c{chosen.pk}",
        "pane": "read",
    }
    if before is not None and request.htmx:
        return render(request, "mailstore/_messages.html", context)
    if not thread.messages:
        raise Http404("Nothing is left of this conversation.")
    if request.htmx.target == "read":
        return render(request, "mailstore/_conversation.html", context | {"is_fragment": True})
    if request.GET.get("q"):
        return render(request, "mailstore/search.html", search_context(request) | context)
    if folder is None:
        return render(request, "mailstore/conversation.html", context)
    request.mailbox_pk = box.pk
    beside = panel_context(box, folder, request.user) | {"page": folder_rows(folder)}
    return render(request, "mailstore/panel.html", beside | context)


@require_GET
@private
def message(request: SignedInRequest, pk: int) -> HttpResponse:
    """The body of a message that was folded."""
    readable = Message.objects.live().readable_by(request.user, timezone.now())
    chosen = get_object_or_404(readable.select_related("folder", "mailbox").prefetch_related("attachments"), pk=pk)
    return render(request, "mailstore/_body.html", {"shown": show_message(chosen)})


def _folder(conversation: Conversation, asked: int | None, wanted: int | None) -> Folder | None:
    """The list that a conversation is read beside: the asked one, else that of the wanted message, else the inbox, else
    any that shows it.
    """
    rows = Folder.objects.filter(listings__conversation=conversation, vanished_at=None)
    listing = sorted(rows, key=lambda folder: (folder.special_use != Folder.SpecialUse.INBOX, folder.pk))
    if asked is None and wanted is not None:
        asked = conversation.messages.filter(pk=wanted).values_list("folder", flat=True).first()
    return next((folder for folder in listing if folder.pk == asked), listing[0] if listing else None)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
