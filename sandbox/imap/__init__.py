"""IMAP4rev1 (RFC 3501) with the extensions that today's clients expect."""
