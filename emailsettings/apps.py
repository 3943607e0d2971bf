from django.apps import AppConfig


class EmailSettingsConfig(AppConfig):
    """The composition root: it knows every app, and no app knows it."""

    name = "emailsettings"
    verbose_name = "emailsettings"
