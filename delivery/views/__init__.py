"""Pages of outgoing mail: the log, and the composer."""
