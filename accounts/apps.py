from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Mailboxes"

    def ready(self) -> None:
        """Tell what people and roles hold here, where people are managed."""
        from accounts import belongings  # noqa: F401
