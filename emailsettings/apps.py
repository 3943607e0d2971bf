from django.apps import AppConfig


class EmailSettingsConfig(AppConfig):
    """The composition root: it knows every app, and no app knows it."""

    name = "emailsettings"
    verbose_name = "emailsettings"

    def ready(self) -> None:
        from emailsettings import checks  # noqa: F401  registers itself
