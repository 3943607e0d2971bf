"""Mail protocols in plain Python: no Django, no Celery, nothing of ours that knows a database."""
