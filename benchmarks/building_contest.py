"""The mails that `benchmarks/building` builds, by us and by Django."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.mime.image import MIMEImage
from email.utils import make_msgid
from statistics import median
from time import process_time

from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from benchmarks.report import Figure, options, report
from protocols.message.addresses import Address
from protocols.message.build import Attachment, OutgoingMessage, build_message

MAILS = 100  # built in one measurement
FILES = 10  # of those with a large file
WORDS = (
    "order",
    "invoice",
    "delivery",
    "Thursday",
    "Zürich",
    "please",
    "thanks",
    "übermorgen",
    "the",
    "of",
    "and",
    "is",
)
SENDER = Address("Müller GmbH", "office@example.org")
TO = tuple(Address(f"Person {number}", f"person{number}@example.com") for number in range(3))


class Mail:
    """One mail as both builders get it."""

    def __init__(self, chance: random.Random, *, html: bool = False, file_size: int = 0, images: int = 0) -> None:
        lines = [" ".join(chance.choices(WORDS, k=10)) for _ in range(40)]
        self.subject = " ".join(chance.choices(WORDS, k=6))
        self.text = "\n".join(lines) + "\n"
        self.images = [(f"image{number}@example.org", chance.randbytes(20_000)) for number in range(images)]
        shown = "".join(f'<img src="cid:{cid}">' for cid, _ in self.images)
        self.html = "".join(f"<p>{line}</p>\n" for line in lines) + shown if html else None
        self.file = chance.randbytes(file_size)

    def ours(self) -> bytes:
        inline = [Attachment(f"{cid}.png", "image/png", content, cid=cid) for cid, content in self.images]
        files = [Attachment("report.pdf", "application/pdf", self.file)] if self.file else []
        return build_message(
            OutgoingMessage(
                from_=SENDER,
                to=TO,
                subject=self.subject,
                text=self.text,
                html=self.html,
                attachments=(*inline, *files),
                message_id="0123456789abcdef@example.org",
                date=datetime.now(UTC),
            )
        )

    def django(self) -> bytes:
        mail = EmailMultiAlternatives(
            self.subject,
            self.text,
            f"{SENDER.name} <{SENDER.address}>",
            [f"{one.name} <{one.address}>" for one in TO],
            headers={"Message-ID": make_msgid(domain="example.org")},
        )
        if self.html is not None:
            mail.attach_alternative(self.html, "text/html")
        for cid, content in self.images:
            image = MIMEImage(content, "png")
            image.add_header("Content-ID", f"<{cid}>")
            image.add_header("Content-Disposition", "inline", filename=f"{cid}.png")
            mail.attach(image)
        if self.file:
            mail.attach("report.pdf", self.file, "application/pdf")
        return mail.message().as_bytes()


def main(arguments: list[str]) -> None:
    chosen = options(__doc__ or "", rounds=15).parse_args(arguments)
    settings.configure(DEFAULT_CHARSET="utf-8", EMAIL_USE_LOCALTIME=False)
    chance = random.Random(chosen.seed)
    kinds = {
        "plain text": ([Mail(chance) for _ in range(MAILS)], MAILS),
        "text and HTML": ([Mail(chance, html=True) for _ in range(MAILS)], MAILS),
        "a file of 1 MB": ([Mail(chance, file_size=1_000_000) for _ in range(FILES)], FILES),
        "HTML with 4 images": ([Mail(chance, html=True, images=4) for _ in range(MAILS)], MAILS),
    }
    figures = []
    for name, (mails, number) in kinds.items():
        ours, theirs = _in_turns(mails, chosen.rounds)
        ratio = median(ours) / median(theirs)
        figures.append(Figure(f"{number} x {name}", ours, "s", {"django": ratio}))
    report(figures, chosen.json)


def _in_turns(mails: list[Mail], rounds: int) -> tuple[list[float], list[float]]:
    ours: list[float] = []
    theirs: list[float] = []
    for round_number in range(rounds + 1):  # the first one warms up
        contest = [(ours, Mail.ours), (theirs, Mail.django)]
        for taken, build in contest if round_number % 2 else reversed(contest):
            seconds = _timed(mails, build)
            if round_number:
                taken.append(seconds)
    return ours, theirs


def _timed(mails: list[Mail], build: Callable[[Mail], bytes]) -> float:
    began = process_time()
    for mail in mails:
        build(mail)
    return process_time() - began
