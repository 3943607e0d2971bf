"""What the store holds, in terms that do not depend on how often it was interrupted: no keys, no moments of ours.

Two runs that end alike have equal states: the same messages with the same octets, flags and neighbours in their
conversations, the same lists, arrivals and cursors.
"""

from __future__ import annotations

import hashlib
import imaplib
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from accounts.models import Mailbox
from mailstore.models import (
    Arrival,
    Attachment,
    Change,
    ComparedFolder,
    Conversation,
    Folder,
    Listing,
    Message,
    ThreadKey,
)
from mailstore.packs import read_raw
from mailstore.searching import search_messages
from protocols.imap.plan import UidSet

Place = tuple[str, int, int]  # name of the folder as the server writes it, UIDVALIDITY, UID
State = dict[str, object]

_FLAGS = {"is_seen": r"\Seen", "is_flagged": r"\Flagged", "is_answered": r"\Answered", "is_draft": r"\Draft"}
_NO_LETTERS = re.compile(r"[\W\d_]+")  # a server may add the time to its words
_LINE = re.compile(rb"\d+ \(UID (\d+) FLAGS \(([^)]*)\) BODY\[\] \{\d+\}$")


def stored_state() -> State:
    """Everything the store says, as one flat mapping: "message INBOX/1/17" -> what it is like."""
    folders = {folder.pk: folder for folder in Folder.objects.all()}
    messages = list(Message.objects.order_by("pk"))
    places = {message.pk: _place(folders, message) for message in messages}
    state: State = {}
    members: dict[int, list[Place]] = defaultdict(list)
    for message in messages:
        members[message.conversation_id].append(places[message.pk])
    threads = {
        pk: min(members[pk]) if pk in members else None for pk in Conversation.objects.values_list("pk", flat=True)
    }
    empty = sum(1 for first in threads.values() if first is None)
    state["conversations without messages"] = empty
    for folder in folders.values():
        missing = sorted(places[pk] for pk in UidSet.parse(folder.missing) if pk in places)
        state[f"folder {folder.wire_name.decode()}"] = (
            folder.name, folder.uidvalidity, folder.uidnext, folder.highestmodseq, folder.exists, folder.stored,
            folder.special_use, folder.is_followed, folder.is_selectable, folder.mailboxid,
            _NO_LETTERS.sub("", folder.problem),
            folder.synced_at is None, folder.covers_from is None, folder.vanished_at is None,
            folder.missing_since is None, missing,
        )  # fmt: skip
    for message in messages:
        key = "message {}/{}/{}".format(*places[message.pk])
        if key in state:
            key += " once more"
        raw = read_raw(message, verify=True)
        state[key] = (
            flags_of(message), hashlib.sha256(raw).hexdigest(), message.size, message.received_at, message.date,
            message.message_id, message.subject, message.from_name, message.from_address, json.dumps(message.to),
            message.preview, message.attachment_count, json.dumps(message.defects), message.vanished_at is None,
            threads[message.conversation_id],
        )  # fmt: skip
    for listing in Listing.objects.all():
        shown = (
            listing.last_at, listing.message_count, listing.unread_count, listing.senders, listing.has_attachments,
            places[listing.newest_id],
        )  # fmt: skip
        state[f"listing in {folders[listing.folder_id].wire_name.decode()} of {threads[listing.conversation_id]}"] = (
            shown
        )
    for key in ThreadKey.objects.all():
        state[f"thread key {key.key}"] = threads[key.conversation_id]
    for attachment in Attachment.objects.all():
        state[f"attachment {places[attachment.message_id]} {attachment.path}"] = (
            attachment.filename, attachment.content_type, attachment.size, attachment.cid, attachment.is_inline,
        )  # fmt: skip
    for pk in Arrival.objects.values_list("message", flat=True):
        state[f"arrival {places[pk]}"] = True
    for change in Change.objects.all():
        state[f"wish {change.kind} {places[change.message_id]}"] = (change.state, change.wanted, change.problem)
    for compared in ComparedFolder.objects.all():
        state[f"account of {folders[compared.folder_id].wire_name.decode()}"] = (
            compared.on_server, compared.stored, compared.skipped, compared.only_here, compared.words,
            sorted(compared.messages.values_list("uid", "reason", "subject")),
        )  # fmt: skip
    mail = Path(settings.MAIL_DIR)
    kept = {str(pk) for pk in Mailbox.objects.values_list("pk", flat=True)}
    state["packs of nobody"] = sorted(path.name for path in mail.glob("*/*") if path.parent.name not in kept)
    state["found by words"] = sorted(
        places[pk] for pk in search_messages(Message.objects.all(), "hello").values_list("pk", flat=True)
    )
    return state


def flags_of(message: Message) -> frozenset[str]:
    system = {flag for field, flag in _FLAGS.items() if getattr(message, field)}
    return frozenset(system | set(message.keywords))


def shown() -> dict[Place, tuple[frozenset[str], str]]:
    """What a reader sees: flags and hash of the octets of each live message. Two rows of one place are a fault."""
    folders = {folder.pk: folder for folder in Folder.objects.all()}
    seen: dict[Place, tuple[frozenset[str], str]] = {}
    for message in Message.objects.live():
        place = _place(folders, message)
        if place in seen:
            raise AssertionError(f"two live rows for {place}")
        seen[place] = (flags_of(message), hashlib.sha256(read_raw(message, verify=True)).hexdigest())
    return seen


def served(client: imaplib.IMAP4) -> dict[Place, tuple[frozenset[str], str]]:
    """The same of the server, for the folders that we follow and could open, read by a client that is not ours."""
    followed = Folder.objects.filter(is_followed=True, is_selectable=True, vanished_at=None, problem="")
    seen: dict[Place, tuple[frozenset[str], str]] = {}
    for folder in followed:
        name = folder.wire_name.decode()
        status, _ = client.select(f'"{name}"', readonly=True)
        if status != "OK":
            continue
        uidvalidity = int(client.response("UIDVALIDITY")[1][0] or b"0")
        _, found = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
        for item in found:
            if isinstance(item, tuple) and (matched := _LINE.match(item[0])):
                flags = frozenset(matched[2].decode().split()) - {r"\Recent"}
                seen[name, uidvalidity, int(matched[1])] = (flags, hashlib.sha256(item[1]).hexdigest())
        client.unselect()
    return seen


def differences(expected: Mapping[object, object], found: Mapping[object, object]) -> list[str]:
    """What is missing, what is too many and what is different, each in a line; empty where both are equal."""
    lines = [f"missing: {key}" for key in expected if key not in found]
    lines += [f"too many: {key}" for key in found if key not in expected]
    lines += [
        f"different: {key}\n    expected {expected[key]}\n    found    {found[key]}"
        for key in expected
        if key in found and expected[key] != found[key]
    ]
    return lines


def _place(folders: Mapping[int, Folder], message: Message) -> Place:
    return folders[message.folder_id].wire_name.decode(), message.uidvalidity, message.uid
