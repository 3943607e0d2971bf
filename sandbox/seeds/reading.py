"""Newsletters, unwanted mail and the welcome: what lands in a mailbox without being asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sandbox.people import PEOPLE
from sandbox.seeds.cast import CAST, Contact
from sandbox.seeds.letter import Attachment, Letter
from sandbox.seeds.media import picture

_DAY: Final = 86400

_ISSUES: Final = (
    ("Why your commute needs a bell 🔔", "A bell is the shortest conversation on the road."),
    ("Ten rides under forty kilometres", "All of them end near a bakery. We checked, twice."),
    ("Belt or chain? An honest answer", "After 9,000 km on both: it depends, and here is on what."),
    ("The quiet return of the kickstand", "Designers hated it. Parents never stopped asking."),
    ("Rain: a short guide", "There is no bad weather, only bad mudguards."),
    ("What couriers know about brakes", "They use up four pairs a year. We asked how to make it two."),
    ("Cargo bikes in old towns", "Three cities, one narrow lane each, and a ladder."),
    ("Repair first", "A wheel is not broken, it is merely undecided."),
    ("Small wheels, big opinions", "Our readers wrote 214 letters. Here are the kind ones."),
)

_PAGE: Final = """<html><head><style>a {{ color: #0b6b5d }} .lead {{ font-size: 18px; line-height: 1.5 }}</style></head>
<body style="margin:0;padding:24px;background:#e9efe9;font-family:Georgia,serif;color:#1f2a27">
<table role="presentation" width="600" align="center" cellpadding="24" cellspacing="0" style="background:#fffdf7">
<tr><td style="border-bottom:4px solid #0b6b5d"><b style="font-size:26px">The Freewheel</b><br>
<span style="color:#5c6b66">Issue {number}, read by people who ride</span></td></tr>
<tr><td><img src="https://pictures.freewheel.example/issue-{number}/cover.jpg" width="552" height="280"
alt="{alt}" style="display:block;border:0"><h1 style="font-size:24px">{title}</h1><p class="lead">{lead}</p>
<p>Also in this issue: a tool we borrowed and did not give back, the workshop of the month, and the reader's question
that kept us awake.</p>
<p><a href="https://freewheel.example/issues/{number}?reader=7f3a" style="background:#0b6b5d;color:#ffffff;padding:10px
18px;text-decoration:none">Read the issue</a></p></td></tr>
<tr><td style="font-size:12px;color:#5c6b66">You get this because you signed up at the trade fair.
<a href="https://freewheel.example/leave?reader=7f3a">Leave the list</a>
<img src="https://count.freewheel.example/open.gif?reader=7f3a&amp;issue={number}" width="1" height="1" alt=""></td>
</tr></table></body></html>
"""


def newsletters(now: int) -> Iterator[Letter]:
    """One a month to Alice and Carol, with remote pictures and a counting pixel."""
    for place, (title, lead) in enumerate(_ISSUES):
        number = 118 - place
        for reader in ("alice", "carol"):
            yield Letter(
                at=now - int((place * 30.4 + 0.8) * _DAY) - len(reader) * 7,
                sender=CAST["freewheel"],
                to=(CAST[reader],),
                subject=f"The Freewheel {number}: {title}",
                text=f"{title}\n\n{lead}\n\nRead the issue: https://freewheel.example/issues/{number}\n",
                html=_PAGE.format(number=number, title=title, lead=lead, alt=title.rstrip(" 🔔")),
                headers=(
                    ("List-Unsubscribe", "<https://freewheel.example/leave?reader=7f3a>"),
                    ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
                    ("Precedence", "bulk"),
                ),
                unread=place == 0,
            )


@dataclass(frozen=True, slots=True)
class _Scheme:
    """One kind of spam."""

    sender: Contact
    subject: str
    text: str


def _scheme(name: str, address: str, subject: str, text: str) -> _Scheme:
    return _Scheme(Contact(name, f"{address}.example", zone=0), subject, f"{text}\n")


_UNWANTED: Final = (
    _scheme(
        "Billing Dept",
        "account@secure-verify-login",
        "Your mailbox will be CLOSED today",
        "Dear user, confirm your password within 24 hours: http://secure-verify-login.example/x7",
    ),
    _scheme(
        "Lottery Office",
        "winner@grand-prize",
        "CONGRATULATIONS!!! You have won 850,000",
        "Kindly send us your bank details and a copy of your passport.",
    ),
    _scheme(
        "SEO Experts",
        "rank@first-page-now",
        "Quick question about your website",
        "Hi there, I was looking at your website and noticed it is not on the first page.",
    ),
    _scheme(
        "Dr. Femi",
        "dr.femi@trust-transfer",
        "Confidential business proposal",
        "I write to you in strict confidence about a sum of 14.5 million.",
    ),
    _scheme("Warehouse Deals", "offer@pallets-cheap", "PALLETS PALLETS PALLETS -70%", "Only today. Only pallets."),
)


def unwanted(now: int) -> Iterator[Letter]:
    """Already sorted into Spam."""
    for place, person in enumerate(PEOPLE):
        key = person.address.partition("@")[0]
        for turn in range(3):
            scheme = _UNWANTED[(place + turn * 2) % len(_UNWANTED)]
            yield Letter(
                at=now - (turn * 9 + place * 2 + 2) * _DAY - place * 1733,
                sender=scheme.sender,
                to=(CAST[key],),
                subject=scheme.subject,
                text=scheme.text,
                folders={key: "Spam"},
                headers=(("X-Spam-Flag", "YES"),),
                unread=turn < 2,
            )


_WELCOME: Final = """Hello {name},

this mailbox belongs to the sandbox: a mail server on this machine, made for
trying things out. The company, its people and their mail are invented, and
nothing you send from here leaves the machine.

Write to one of these and see what happens:

  {others}
      A real delivery. Add that mailbox too and read it there.
  later@sandbox.test
      Defers each message at first, takes it half a minute later (into support@).
  full@sandbox.test
      Its mailbox is full, for ever.
  nobody@sandbox.test
      Does not exist.

Somebody outside, such as anna@example.org, is refused too: the sandbox
delivers only to sandbox.test.

To start afresh, stop the sandbox and delete its state folder.
"""

_WELCOME_PAGE: Final = """<html><body style="font-family:Helvetica,Arial,sans-serif;color:#28303a;max-width:560px">
<p><img src="cid:wheel@sandbox.test" width="96" height="72" alt="A wheel" style="border-radius:8px"></p>
<p>Hello {name},</p>
<p>this mailbox belongs to the <b>sandbox</b>: a mail server on this machine, made for trying things out. The company,
its people and their mail are invented, and nothing you send from here leaves the machine.</p>
<p>Write to one of these and see what happens:</p>
<table cellpadding="6" cellspacing="0" style="border-collapse:collapse">
<tr style="background:#e8f3ec"><td>{others}</td><td>A real delivery. Add that mailbox too and read it there.</td></tr>
<tr><td>later@sandbox.test</td><td>Defers each message at first, takes it half a minute later (into support@).</td></tr>
<tr style="background:#f6efe2"><td>full@sandbox.test</td><td>Its mailbox is full, for ever.</td></tr>
<tr><td>nobody@sandbox.test</td><td>Does not exist.</td></tr></table>
<p>Somebody outside, such as anna@example.org, is refused too: the sandbox delivers only to sandbox.test.</p>
<p style="color:#66707c">To start afresh, stop the sandbox and delete its state folder.</p></body></html>
"""


def welcomes(now: int) -> Iterator[Letter]:
    """The newest message of every mailbox: what this is, and what there is to try."""
    wheel = Attachment("wheel.png", "image/png", picture("welcome"), content_id="wheel@sandbox.test")
    for place, person in enumerate(PEOPLE):
        other = PEOPLE[(place + 1) % len(PEOPLE)].address
        name = person.name.split()[0] if place < 3 else "everybody"
        yield Letter(
            at=now - 240 - place,
            sender=CAST["postmaster"],
            to=(CAST[person.address.partition("@")[0]],),
            subject="Welcome to the sandbox: four things to try",
            text=_WELCOME.format(name=name, others=other),
            html=_WELCOME_PAGE.format(name=name, others=other),
            attachments=(wheel,),
            unread=True,
        )
