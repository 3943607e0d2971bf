"""A mail server for trying the product: IMAP and SMTP submission on loopback, with seeded mailboxes at sandbox.test.

Run it with `python -m sandbox --state DIR`. Standard library only; imports nothing of ours.

There is no TLS: it listens on 127.0.0.1 and nowhere else, which is the one documented exception to "always encrypted".
"""
