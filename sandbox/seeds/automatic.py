"""Mail that machines send: shop orders, delivery windows, reports, invoices, invitations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import escape
from random import Random
from typing import Final

from sandbox.seeds.cast import CAST, COMPANY, Contact
from sandbox.seeds.letter import Attachment, Letter
from sandbox.seeds.media import attachment, picture

DAY: Final = 86400
HOUR: Final = 3600

_GOODS: Final = (
    *(("Chain KC-11", 3490), ("Chain KC-10", 2790), ("Tube 28 x 35", 690), ("Tube 28 x 25", 650)),
    *(("Brake pads, pair", 1190), ("Spokes 2.0 x 290, set of 36", 1980), ("Saddle Croissant", 6400)),
    *(("Front light, battery", 3950), ("Bell, brass", 1450), ("Rim 20 inch, double wall", 5290)),
)
_BUYERS: Final = (
    *("Nadia Petrova", "Liam O'Brien", "Amélie Laurent", "Jonas Weiß", "Chipo Moyo", "Anna Lindström"),
    *("Pedro Álvarez", "Grace Kimani", "Wei Zhang", "Ola Nordmann", "Ioana Popescu", "Sam Fletcher", "Łukasz Zając"),
)


def letters_from_machines(now: int) -> Iterator[Letter]:
    """All of them; `now` is Unix time. The same at every first start but for the dates."""
    random = Random(4821)  # noqa: S311  # figures for show
    yield from _orders(now, random)
    yield from _delivery_windows(now, random)
    yield from _stock_reports(now)
    yield from _supplier_invoices(now, random)
    yield from _hosting_bills(now, random)
    yield from _invitations(now)


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _orders(now: int, random: Random) -> Iterator[Letter]:
    """The shop tells support about each order; the newest two are still unread."""
    logo = Attachment("logo.png", "image/png", picture("logo", 64, 64), content_id="logo@tandemlane.example")
    ages = [2 * HOUR + 900, 9 * HOUR, *(int((1.2 + 0.4 * step) * step * DAY) for step in range(1, 24))]
    for place, age in enumerate(ages):
        number, buyer = 31256 - place * 47, random.choice(_BUYERS)
        goods = [
            (name, random.choice((1, 1, 2, 4)), price) for name, price in random.sample(_GOODS, random.randint(1, 4))
        ]
        total = sum(pieces * price for _, pieces, price in goods)
        rows = "".join(
            f'<tr><td>{escape(name)}</td><td align="right">{pieces}</td><td align="right">{_money(price)}</td>'
            f'<td align="right">{_money(pieces * price)}</td></tr>\n'
            for name, pieces, price in goods
        )
        listed = "\n".join(f"  {pieces} x {name:<30}{_money(pieces * price):>9}" for name, pieces, price in goods)
        yield Letter(
            at=now - age,
            sender=CAST["shop"],
            to=(CAST["support"],),
            subject=f"New order {number} from {buyer}",
            text=f"Order {number}\n{buyer}\n\n{listed}\n\n  Total{_money(total):>37} EUR\n",
            html=_ORDER_PAGE.format(number=number, buyer=escape(buyer), rows=rows, total=_money(total)),
            attachments=(logo,),
            unread=place < 2,
        )


_ORDER_PAGE: Final = """<html><body style="margin:0;background:#f4f1ea;font-family:Helvetica,sans-serif;color:#28303a">
<table width="560" align="center" cellpadding="16" cellspacing="0" style="background:#ffffff;border-radius:8px">
<tr><td><img src="cid:logo@tandemlane.example" width="48" height="48" alt="Tandem Lane">
<h1 style="font-size:20px">Order {number}</h1><p>Thank you, {buyer}! We are packing:</p>
<table width="100%" cellpadding="6" cellspacing="0" border="0" style="border-collapse:collapse">
<tr style="background:#eef2f5"><th align="left">Part</th><th align="right">Pieces</th><th align="right">Each</th>
<th align="right">EUR</th></tr>
{rows}<tr style="border-top:2px solid #28303a"><td colspan="3"><b>Total, VAT included</b></td>
<td align="right"><b>{total}</b></td></tr></table>
<p style="color:#66707c;font-size:13px">Tandem Lane Cycle Parts, Cooper's Row 4</p></td></tr></table></body></html>
"""


def _delivery_windows(now: int, random: Random) -> Iterator[Letter]:
    for place in range(20):
        age = 4 * HOUR if place == 0 else int((place * 3.1 + 0.3) * DAY)
        at = now - age
        code = f"GQ{random.randint(10**7, 10**8 - 1)}"
        day = datetime.fromtimestamp(at + DAY, UTC)
        pallets, supplier = random.randint(1, 3), random.choice(("Nordhjul", "Velo Kovář", "Speichenwerk", "Rinaldi"))
        delivered = place % 4 == 3
        subject = f"Delivered: {code}" if delivered else f"Delivery window {day:%d %b}, 6:30 to 8:30 ({code})"
        text = (
            f"Your shipment {code} from {supplier} was delivered at 7:{random.randint(10, 55)}, signed by OKAFOR.\n"
            if delivered
            else f"Shipment {code} from {supplier}\n{pallets} pallet(s), {pallets * random.randint(90, 260)} kg\n\n"
            f"Arrives {day:%A} {day.day} {day:%B} between 6:30 and 8:30 at Cooper's Row, side gate.\n"
            f"Follow it: https://track.greyquay.example/{code}\n\nPlease do not answer this message.\n"
        )
        yield Letter(
            at,
            CAST["greyquay"],
            (CAST["bob"],),
            subject,
            text,
            headers=(("Auto-Submitted", "auto-generated"),),
            unread=place < 2,
        )


def _stock_reports(now: int) -> Iterator[Letter]:
    for week in range(12):
        at = now - week * 7 * DAY - 6 * HOUR
        day = datetime.fromtimestamp(at, UTC)
        yield Letter(
            at,
            CAST["stock"],
            (CAST["bob"],),
            f"Stock report, week {day.isocalendar().week}",
            "The report of this week is attached. Parts below their minimum stand at the top.\n",
            cc=(CAST["alice"],) if week % 4 == 0 else (),
            attachments=(attachment(f"stock-{day:%Y-%m-%d}.csv"),),
            headers=(("Auto-Submitted", "auto-generated"),),
            unread=week == 0,
        )


def _supplier_invoices(now: int, random: Random) -> Iterator[Letter]:
    suppliers = ("ingrid", "hana", "sofia")
    for month in range(9):
        sender = CAST[suppliers[month % 3]]
        number, total = 7000 + month * -31 + 600, random.randint(90000, 640000)
        at = now - int((month * 30.4 + 1.6) * DAY)
        yield Letter(
            at,
            sender,
            (CAST["alice"],),
            f"Invoice {number}",
            f"Dear Alice,\n\nplease find invoice {number} over {_money(total)} EUR attached, due within 30 days.\n\n"
            f"-- \n{sender.signature}",
            attachments=(attachment(f"invoice-{number}.pdf"),),
            unread=month == 0,
        )


def _hosting_bills(now: int, random: Random) -> Iterator[Letter]:
    for month in range(8):
        at = now - int((month * 30.4 + 11) * DAY)
        day = datetime.fromtimestamp(at, UTC)
        gigabytes = random.randint(40, 90)
        yield Letter(
            at,
            CAST["cloudshelf"],
            (CAST["carol"],),
            f"Your Cloudshelf bill for {day:%B %Y}",
            f"Shop hosting          19.00 EUR\nStorage, {gigabytes} GB       {gigabytes * 5 / 100:5.2f} EUR\n\n"
            "We collect the amount by direct debit in five days. There is nothing to do.\n",
            attachments=(attachment(f"cloudshelf-{day:%Y-%m}.pdf"),),
        )


def _invitations(now: int) -> Iterator[Letter]:
    """Meetings as text/calendar (RFC 5545, RFC 6047)."""
    meetings = (
        (-1, 3, "Planning the autumn catalogue", "alice", ("bob", "carol")),
        (-12, 4, "First day: Jonah", "bob", ("alice", "carol")),
        (-90, 6, "Visit to the trade fair", "carol", ("alice",)),
    )
    for age, ahead, title, host_key, guest_keys in meetings:
        at = now + age * DAY - 3 * HOUR
        host, guests = CAST[host_key], tuple(CAST[key] for key in guest_keys)
        start = datetime.fromtimestamp(at, UTC).replace(hour=13, minute=0, second=0) + timedelta(days=ahead)
        invite = Attachment(
            "invite.ics", "text/calendar; charset=utf-8; method=REQUEST", _ics(title, host, guests, start)
        )
        yield Letter(
            at,
            host,
            guests,
            f"Invitation: {title}",
            f"{title}\n{start:%A}, {start.day} {start:%B}, 14:00 to 15:00\nThe big table\n\n"
            "Please answer in your calendar.\n",
            attachments=(invite,),
            unread=age == -1,
        )


def _ics(title: str, host: Contact, guests: tuple[Contact, ...], start: datetime) -> bytes:
    stamp = "%Y%m%dT%H%M%SZ"
    lines = [
        *("BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:-//{COMPANY}//Calendar//EN", "METHOD:REQUEST", "BEGIN:VEVENT"),
        f"UID:{start:%Y%m%d}-{len(title)}@sandbox.test",
        f"DTSTAMP:{start - timedelta(days=2):{stamp}}",
        f"DTSTART:{start:{stamp}}",
        f"DTEND:{start + timedelta(hours=1):{stamp}}",
        *(f"SUMMARY:{title}", "LOCATION:The big table"),
        f"ORGANIZER;CN={host.name}:mailto:{host.address}",
        *(f"ATTENDEE;CN={guest.name};RSVP=TRUE:mailto:{guest.address}" for guest in guests),
        *("END:VEVENT", "END:VCALENDAR", ""),
    ]
    return "\r\n".join(lines).encode()
