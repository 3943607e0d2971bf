"""From in the composer: every address under which a person may write, of every mailbox (spec E8, H3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django import forms

from accounts.models import Mailbox
from organizations.long_select import LongSelect

OWN: Final = ":own"  # behind the key of a mailbox: its own address, where another one is the usual


class _Identities(forms.models.ModelChoiceIterator):  # type: ignore[type-arg]
    """Key and label alone: there may be a thousand."""

    def __iter__(self) -> Iterator[tuple[str, str]]:
        columns = ("pk", "display_name", "address", "sender_address")
        for pk, name, address, usual in self.queryset.values_list(*columns):
            yield str(pk), f"{name} <{usual or address}>"
            if usual:
                yield f"{pk}{OWN}", f"{name} <{address}>"


class FromField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """Gives the mailbox; `address_of` the address that was chosen of it."""

    widget = LongSelect
    iterator = _Identities

    def to_python(self, value: Any) -> Any:
        return super().to_python(mailbox_key(value))

    @staticmethod
    def address_of(mailbox: Mailbox, value: object) -> str:
        """One of the mailbox's identities; "" for the usual one."""
        return mailbox.address if str(value or "").endswith(OWN) else ""


def mailbox_key(value: object) -> str:
    """The key of the mailbox in a value of the field."""
    return str(value or "").removesuffix(OWN)
