from django.apps import AppConfig


class MailstoreConfig(AppConfig):
    name = "mailstore"
    verbose_name = "Stored mail"

    def ready(self) -> None:
        from mailstore import deletion, enrolment

        deletion.listen()
        enrolment.listen()
