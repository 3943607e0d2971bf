from django.apps import AppConfig


class DeliveryConfig(AppConfig):
    name = "delivery"
    verbose_name = "Outgoing mail"

    def ready(self) -> None:
        from delivery import changed_ways, log_index

        log_index.listen(self)
        changed_ways.listen()
