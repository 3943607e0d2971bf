"""Words of outgoing mail for templates."""
