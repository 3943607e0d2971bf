"""Announcements of this app to those above it, backed by rows: a lost signal loses nothing (see `Arrival`)."""

from __future__ import annotations

from django.dispatch import Signal

#: Sent after the commit that stored new mail, with `mailbox_pk` and `message_pks`. Old mail of a first import is not
#: announced. Receivers only nudge: whoever works on new mail looks for `Arrival` rows by itself.
arrivals_stored = Signal()
