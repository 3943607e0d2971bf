"""What a reader does with mail: buttons, keys, undo, and the dialogs before some of them (spec G5, H1)."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import trigger_client_event

from accounts.models import Mailbox
from mailstore import marking
from mailstore.action_form import ActionForm, Deed, targets
from mailstore.folder_tree import folder_tree
from mailstore.marking import Action
from mailstore.models import Change, Folder
from mailstore.rows import place_of
from mailstore.views.panel import folder_or_404, panel_context
from organizations.caching import private
from organizations.requests import SignedInRequest

MOST_NAMED: Final = 200  # messages in the header that tells the page


@require_POST
def change(request: SignedInRequest, pk: int) -> HttpResponse:
    """Do something with messages of a folder. Answers with a toast that can undo it, and with what left the list."""
    folder = folder_or_404(request.user, pk)
    form = ActionForm(request.POST, folder=folder)
    if not form.is_valid():
        return _complaint(" ".join(str(message) for messages in form.errors.values() for message in messages))
    try:
        action = form.carry_out(request.user, timezone.now())
    except marking.NoSuchFolder as exc:
        return _complaint(str(exc))
    response = HttpResponse(status=204)
    trigger_client_event(response, "mail:changed", _what_was_done(form, action))
    trigger_client_event(response, "dialog:close", {})
    if form.deed is not Deed.READ:
        undo = "" if form.deed is Deed.REMOVE or not action.count else reverse("mailstore:undo", args=[action.batch])
        toast = {"text": form.sentence(action), "kind": "good" if action.count else "info", "undo": undo}
        trigger_client_event(response, "toast", toast)
    return response


@require_POST
def undo(request: SignedInRequest, batch: UUID) -> HttpResponse:
    """Undo what this person did by one press of a button, as far as nobody has changed it since."""
    action = marking.undo(batch, by=request.user, now=timezone.now())
    if action is None:
        raise Http404("There is nothing to undo.")
    text = "Undone." if action.count else "It was changed again since, so nothing is undone."
    response = HttpResponse(status=204)
    if action.count:
        trigger_client_event(response, "mail:undone", {"batch": str(batch)})
    return trigger_client_event(response, "toast", {"text": text, "kind": "good" if action.count else "info"})


@require_GET
@private
def move(request: SignedInRequest, pk: int) -> HttpResponse:
    """The dialog in which a folder is chosen."""
    folder = folder_or_404(request.user, pk)
    lines = [line for line in folder_tree(targets(folder), {}) if line.is_open]
    return render(request, "mailstore/_move_dialog.html", _chosen(request) | {"folder": folder, "lines": lines})


@require_GET
@private
def remove(request: SignedInRequest, pk: int) -> HttpResponse:
    """The question before something is deleted for good."""
    folder = folder_or_404(request.user, pk)
    return render(request, "mailstore/_remove_dialog.html", _chosen(request) | {"folder": folder})


@require_POST
def dismiss(request: SignedInRequest, mailbox_pk: int) -> HttpResponse:
    """The reader has read what the server refused."""
    boxes = Mailbox.objects.in_panel_of(request.user, timezone.now()).select_related("schedule")
    mailbox = get_object_or_404(boxes, pk=mailbox_pk)
    Change.objects.refused_for(request.user).filter(mailbox=mailbox).update(told_at=timezone.now())
    shown = Folder.objects.filter(mailbox=mailbox, pk__in=_keys(request.GET.getlist("folder"))).first()
    return render(request, "mailstore/_mailbox_state.html", panel_context(mailbox, shown, request.user))


def _what_was_done(form: ActionForm, action: Action) -> dict[str, object]:
    """What the page changes at once. A list of found messages names each, and says where it lies now."""
    place = form.stays_at
    return {
        "action": form.deed.value,
        "away": form.takes_away,
        "batch": str(action.batch),
        "conversations": form.cleaned_data["conversation"],
        "messages": list(dict.fromkeys(form.cleaned_data["message"] + action.keys))[:MOST_NAMED],
        "place": place_of(place, action.mailbox) if place else "",
        "change": reverse("mailstore:change", args=[place.pk]) if place else "",
        "use": place.special_use if place else "",
    }


def _chosen(request: SignedInRequest) -> dict[str, list[int]]:
    return {name + "s": _keys(request.GET.getlist(name)) for name in ("conversation", "message")}


def _keys(texts: list[str]) -> list[int]:
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]


def _complaint(sentence: str) -> HttpResponse:
    response = HttpResponse(status=422, headers={"HX-Reswap": "none"})
    return trigger_client_event(response, "toast", {"text": sentence, "kind": "bad"})
