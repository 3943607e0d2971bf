"""The pages of the mail panel."""
