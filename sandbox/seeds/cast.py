"""Everybody who writes or receives in the seeded mail: the people of Tandem Lane and invented outsiders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbox.people import PEOPLE

COMPANY: Final = "Tandem Lane Cycle Parts"


@dataclass(frozen=True, slots=True)
class Contact:
    """signature: lines under the text when writing outside; zone: hours ahead of UTC in the Date field."""

    name: str
    address: str
    signature: str = ""
    zone: int = 1

    @property
    def domain(self) -> str:
        return self.address.partition("@")[2]


def _outside(name: str, address: str, firm: str, zone: int = 1) -> Contact:
    return Contact(name, f"{address}.example", f"{name}\n{firm}", zone)


_OUR_OWN: Final = {
    person.address.partition("@")[0]: Contact(person.name, person.address, f"{person.name}\n{person.job}, {COMPANY}")
    for person in PEOPLE
}

_SHARED_SIGNATURE: Final = f"{COMPANY}, Cooper's Row 4"

CAST: Final = _OUR_OWN | {
    "support": Contact(_OUR_OWN["support"].name, _OUR_OWN["support"].address, _SHARED_SIGNATURE),
    # suppliers
    "ingrid": _outside("Ingrid Sæther", "ingrid@nordhjul", "Nordhjul AS, Drammen"),
    "jorg": _outside("Jörg Müller", "j.mueller@speichenwerk-sued", "Speichenwerk Süd GmbH, Kempten"),
    "kenji": _outside("田中 健二", "tanaka@kurosaki-chain", "黒崎チェーン株式会社", 9),
    "sofia": _outside("Sofia Rinaldi", "sofia@officina-rinaldi", "Officina Rinaldi, Bergamo"),
    "hana": _outside("Hana Kovářová", "hana@velo-kovar", "Velo Kovář, Brno"),
    # customers
    "marcus": _outside("Marcus Bell", "marcus@thewheelhouse", "The Wheelhouse, Leeds", 0),
    "priya": _outside("Priya Raman", "priya@citywheel", "Citywheel Couriers, fleet"),
    "zofia": _outside("Zofia Wiśniewska", "biuro@rowery-mazowsze", "Rowery Mazowsze, Warszawa"),
    "layla": _outside("ليلى حداد", "layla@darraja", "نادي درّاجة، عمّان", 3),
    # around the office
    "tom": _outside("Tom Hale", "tom.hale@greyquay", "Greyquay Logistics, planning"),
    "petra": _outside("Petra Lang", "lang@ledgerwell", "Ledgerwell Accounting"),
    "pettifer": _outside("Desmond Pettifer", "office@pettifer-estates", "Pettifer Estates"),
    # people who bought something
    "dan": Contact("Dan Whitlock", "dan.whitlock@postbox.example"),
    "ruth": Contact("Ruth Abara", "ruth@abara.example"),
    "oskar": Contact("Oskar Grünwald", "oskar.gruenwald@briefkasten.example"),
    "claire": Contact("Claire Dumont", "claire.dumont@postbox.example"),
    "greg": Contact("Greg Tanner", "greg.tanner@postbox.example"),
    "ben": Contact("Ben Osei", "ben@osei.example"),
    "fatima": Contact("Fatima Zahra Idrissi", "fz.idrissi@postbox.example"),
    "tomas": Contact("Tomáš Dvořák", "dvorak@kola-dvorak.example"),
    "mei": Contact("林 美玲", "meiling.lin@postbox.example", zone=8),
    "yusuf": Contact("Yusuf Demir", "yusuf.demir@postbox.example"),
    # the mailing list
    "wheelbuilders": Contact("Wheelbuilders", "wheelbuilders@lists.truespoke.example"),
    "edda": Contact("Edda Brink", "edda@brink-laufrad.example", "Edda"),
    "lorcan": Contact("Lorcan Daly", "lorcan@dalywheels.example", "Lorcan Daly, Galway", 0),
    # machines
    "shop": Contact("Tandem Lane Shop", "orders@tandemlane.example"),
    "stock": Contact("Stock report", "reports@tandemlane.example"),
    "greyquay": Contact("Greyquay Tracking", "no-reply@greyquay.example"),
    "freewheel": Contact("The Freewheel", "hello@freewheel.example"),
    "cloudshelf": Contact("Cloudshelf Billing", "billing@cloudshelf.example"),
    "postmaster": Contact("The sandbox", "postmaster@sandbox.test"),
}
