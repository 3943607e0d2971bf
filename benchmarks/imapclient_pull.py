"""What most programs do: IMAPClient fetches, `email` with policy.default parses. `python -m benchmarks.imapclient_pull
HOST PORT USER PASSWORD NUMBER` takes the first NUMBER messages of the INBOX and prints the seconds it took.

Every message is taken apart as far as we do: subject, people, date, identifiers, text, and the size of each attachment.
Nothing is stored, threaded or indexed.
"""

from __future__ import annotations

import email
import logging
import sys
from email.message import EmailMessage, MIMEPart
from email.policy import default
from time import monotonic

from imapclient import IMAPClient

AT_ONCE = 200


def main(host: str, port: str, user: str, password: str, number: str) -> None:
    logging.disable()  # imaplib's debug output goes through repr() of every body otherwise
    with IMAPClient(host, int(port), ssl=False) as client:
        client._imap.debug = 0
        client.login(user, password)
        client.select_folder("INBOX", readonly=True)
        began = monotonic()
        for first in range(1, int(number) + 1, AT_ONCE):
            last = min(first + AT_ONCE - 1, int(number))
            for answer in client.fetch(
                list(range(first, last + 1)), ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]"]
            ).values():
                take_apart(email.message_from_bytes(answer[b"BODY[]"], _class=EmailMessage, policy=default))
        print(monotonic() - began)


def take_apart(message: EmailMessage) -> tuple[object, ...]:
    """Read what a list and a search need."""
    people = [message[name].addresses for name in ("from", "to", "cc") if message[name] is not None]
    names = [str(message.get(name, "")) for name in ("subject", "date", "message-id", "in-reply-to", "references")]
    body = message.get_body(("plain", "html"))
    sizes = [size_of(part) for part in message.iter_attachments()]
    return people, names, body.get_content() if body else "", sizes


def size_of(part: MIMEPart) -> int:
    content = part.get_payload(decode=True)
    return len(content) if isinstance(content, bytes) else 0


if __name__ == "__main__":
    main(*sys.argv[1:])
