"""The catalog's pages, for those who manage email providers; the logos for everybody."""
