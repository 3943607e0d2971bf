from django.apps import AppConfig


class OrganizationsConfig(AppConfig):
    name = "organizations"
    verbose_name = "Organizations and people"

    def ready(self) -> None:
        """Connect the rule that somebody administers, and the audit of sign-ins."""
        from organizations import roles, sign_in  # noqa: F401
