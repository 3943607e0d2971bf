from django.apps import AppConfig


class MailServersConfig(AppConfig):
    name = "mailservers"
    verbose_name = "Mail servers"
