"""Senders in a list: people by their first name, everybody else by the whole one."""

from __future__ import annotations

import pytest

from mailstore.short_names import short_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Alice Liddell", "Alice"),
        ("Liddell, Alice", "Alice"),
        ("Dr. Alice Liddell", "Alice"),
        ("Frau Prof. Dr. Alice Liddell", "Alice"),
        ("J. Smith", "J. Smith"),
        ("Ludwig van Beethoven", "Ludwig"),
        ("Łukasz", "Łukasz"),
        ("山田 太郎", "山田"),
        ('"Alice Liddell"', "Alice"),
        ("The Freewheel", "The Freewheel"),
        ("Die Zeit", "Die Zeit"),
        ("Bank of Tandem Lane", "Bank of Tandem Lane"),
        ("Tandem Lane Support", "Tandem Lane Support"),
        ("Rims & Spokes", "Rims & Spokes"),
        ("Northwind Ltd.", "Northwind Ltd."),
        ("Radio 4", "Radio 4"),
        ("Northwind, Inc.", "Northwind, Inc."),
        ("alice@example.org", "alice"),
        ("Dr.", "Dr."),
        (",", ""),
        ("", "someone"),
        ("  ", "someone"),
        ("The " + "x" * 50, "The " + "x" * 36),
    ],
)
def test_a_sender_is_called_as_a_colleague_would(name, shown):
    assert short_name(name, "someone@example.org") == shown
