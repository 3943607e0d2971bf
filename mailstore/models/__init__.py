"""What is stored: folders, messages, conversations and changes to them; and when each mailbox is next due."""

from mailstore.models.changes import UNPLACED, Change, ChangeQuerySet, ChangeQueue
from mailstore.models.comparisons import ComparedFolder, ComparedMessage, Comparison, Reason
from mailstore.models.conversations import Conversation, ThreadKey
from mailstore.models.folders import Folder
from mailstore.models.hosts import MailHost
from mailstore.models.leftovers import Leftover
from mailstore.models.listings import Listing
from mailstore.models.messages import Arrival, Attachment, Message, MessageQuerySet
from mailstore.models.schedule import LEASE, SyncRun, SyncSchedule
from mailstore.models.watcher import Watcher

__all__ = [
    "LEASE", "UNPLACED", "Arrival", "Attachment", "Change", "ChangeQuerySet", "ChangeQueue", "ComparedFolder",
    "ComparedMessage", "Comparison", "Conversation", "Folder", "Leftover", "Listing", "MailHost", "Message",
    "MessageQuerySet", "Reason", "SyncRun", "SyncSchedule", "ThreadKey", "Watcher",
]  # fmt: skip
