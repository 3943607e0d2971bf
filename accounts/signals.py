"""What this app announces to those above it."""

from django.dispatch import Signal

#: Before a mailbox is deleted, inside the transaction; `mailbox`. Whoever keeps much below it lets it go in bulk.
mailbox_leaving = Signal()
