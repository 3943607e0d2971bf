from django.apps import AppConfig


class DeliveryConfig(AppConfig):
    name = "delivery"
    verbose_name = "Outgoing mail"

    def ready(self) -> None:
        from delivery import log_index

        log_index.listen(self)
