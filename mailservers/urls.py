"""Pages of this app."""

from django.urls import URLPattern

app_name = "mailservers"
urlpatterns: list[URLPattern] = []
