"""The folders of a mailbox: what the server has, which of them are downloaded, and asking it anew (spec E7, L1)."""

from __future__ import annotations

from django.utils import timezone
from ninja import Query, Router

from accounts.api import changeable_or_404, reads, visible_or_404, writes
from accounts.folders_form import FoldersForm
from accounts.models import Mailbox
from accounts.settings_audit import note_reading
from accounts.settings_page import record_change
from mailservers.api import checking
from mailstore import folder_list, runs
from mailstore.api import refuse_send_only
from mailstore.models import Folder
from mailstore.resources import FolderChoice, FolderList, FollowedFolders, RefreshedFolders, folder_document
from mailstore.trouble import incoming_trouble, login_waits
from organizations.calls import ApiRequest, Listing, Problem, invalid_form
from organizations.paging import in_key_order
from protocols.diagnosis import Diagnosis
from protocols.errors import LoginRefused, MailError

router = Router(tags=["Mailboxes"])


@router.get(
    "/mailboxes/{int:pk}/folders",
    auth=reads,
    operation_id="mailboxes_folders",
    response=FolderList,
)
def mailboxes_folders(request: ApiRequest, pk: int, listing: Query[Listing]) -> FolderList:
    """The folders that the server has now, whether downloaded or not."""
    mailbox = visible_or_404(request, pk)
    if not Mailbox.objects.readable_by(request.user, timezone.now()).filter(pk=pk).exists():
        note_reading(request, mailbox, request.user)  # who reads the mail sees its folders anyway
    found = Folder.objects.filter(mailbox=mailbox, vanished_at=None)
    page = in_key_order(found, listing.checked_cursor, size=listing.limit)
    return FolderList(items=[folder_document(folder) for folder in page.rows], next=page.next or None)


@router.patch(
    "/mailboxes/{int:pk}/folders",
    auth=writes,
    operation_id="mailboxes_choose_folders",
    response=FollowedFolders,
)
def mailboxes_choose_folders(request: ApiRequest, pk: int, body: FolderChoice) -> FollowedFolders:
    """Choose which folders are downloaded. It counts from the next sync on."""
    mailbox = changeable_or_404(request, pk)
    if body.sent:
        form = FoldersForm(_ticks(mailbox, body), mailbox=mailbox)
        if not form.is_valid():
            raise invalid_form(form)
        record_change(request, mailbox, form.save())
    followed = Folder.objects.filter(mailbox=mailbox, vanished_at=None, is_followed=True).order_by("pk")
    return FollowedFolders(all_folders=mailbox.all_folders, folders=list(followed.values_list("pk", flat=True)))


@router.post(
    "/mailboxes/{int:pk}/folders/refresh",
    auth=writes,
    operation_id="mailboxes_refresh_folders",
    response=RefreshedFolders,
)
def mailboxes_refresh_folders(request: ApiRequest, pk: int) -> RefreshedFolders:
    """Ask the server for its folders now. Nothing is taken away: whether a folder is gone is for a sync to find out."""
    mailbox = changeable_or_404(request, pk)
    refuse_send_only(mailbox)
    if sentence := login_waits(mailbox, timezone.now()):
        raise Problem(409, "password-refused", "The server refused the password.", sentence)
    before = set(mailbox.folders.values_list("pk", flat=True))
    with checking(request):
        try:
            listed = folder_list.refresh_folders(mailbox)
        except MailError as exc:
            if isinstance(exc, LoginRefused):
                runs.refused_to_watch(mailbox.pk, timezone.now())
            raise _mail_server(incoming_trouble(mailbox, exc)) from exc
    added = mailbox.folders.exclude(pk__in=before).order_by("pk")
    return RefreshedFolders(listed=listed, added=[folder_document(folder) for folder in added])


def _ticks(mailbox: Mailbox, body: FolderChoice) -> dict[str, object]:
    """What the page's form would post: as it stands, with what was sent in its place."""
    before = FoldersForm(mailbox=mailbox)
    everything = mailbox.all_folders if body.all_folders is None else body.all_folders
    chosen = before.ticked if body.folders is None else {str(folder) for folder in body.folders}
    left_out = {branch.value for branch in before.left_out}
    return {
        "all_folders": "all" if everything else "selected",
        "folders": sorted(chosen),
        "also": sorted(chosen & left_out),
    }


def _mail_server(diagnosis: Diagnosis) -> Problem:
    cure = next((f"{cause.cause} {cause.cure}" for cause in diagnosis.causes), "")
    return Problem(422, "mail-server", diagnosis.title, cure, more={"diagnosis": diagnosis.as_json()})
