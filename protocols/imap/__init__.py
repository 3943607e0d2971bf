"""IMAP4rev1 and IMAP4rev2 as a client speaks them (RFC 3501, RFC 9051)."""
