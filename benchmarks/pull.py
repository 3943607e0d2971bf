"""One pull through the product's own path, in its own process: `python -m benchmarks.pull HOST PORT USER PASSWORD`.

Prints one JSON object: seconds of the sync, peak resident megabytes (of both processes), messages stored. The database
is the one of DATABASE_URL and is migrated first, outside of the measured time.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from time import monotonic

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailsettings.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import DownloadPeriod, Mailbox, State  # noqa: E402
from mailstore import schedule, syncing  # noqa: E402
from mailstore.models import Message, SyncSchedule  # noqa: E402
from organizations.models import Organization  # noqa: E402
from protocols.credentials import Secret  # noqa: E402


def new_mailbox(host: str, port: str, user: str, password: str) -> Mailbox:
    """Migrate the database and make a mailbox in it whose whole mail is to be downloaded."""
    call_command("migrate", verbosity=0)
    mailbox = Mailbox(
        organization=Organization.objects.create(name="Benchmark"),
        address=user,
        display_name="Benchmark",
        imap_host=host,
        imap_port=int(port),
        imap_security="none",
        download_period=DownloadPeriod.EVERYTHING,
    )
    mailbox.password = Secret(password)
    mailbox.save()
    schedule.ensure(mailbox)
    return mailbox


def main(host: str, port: str, user: str, password: str) -> None:
    mailbox = new_mailbox(host, port, user, password)
    fence = SyncSchedule.objects.claim(mailbox.pk, timezone.now())
    assert fence is not None
    began = monotonic()
    first_page = []

    def note(folder_name: str, messages: int) -> None:
        if not first_page:
            first_page.append(monotonic() - began)

    syncing.sync(mailbox.pk, fence, report=note)
    seconds = monotonic() - began
    row = SyncSchedule.objects.select_related("mailbox").get(pk=mailbox.pk)
    assert schedule.progress(row, timezone.now()).state is State.CONNECTED, row.waiting_for
    figures = {
        "seconds": seconds,
        "first_page": first_page[0],
        "megabytes": sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        / 1024,
        "messages": Message.objects.count(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
