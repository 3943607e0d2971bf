"""Pages about people: coming in, one's own profile, others, roles, operations, the audit log."""
