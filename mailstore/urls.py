"""Pages of this app."""

from django.urls import URLPattern

app_name = "mailstore"
urlpatterns: list[URLPattern] = []
