"""Message submission as a client speaks it (RFC 5321, RFC 6409)."""
