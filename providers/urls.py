"""Pages of this app."""

from django.urls import path

from providers.views import domains, entries, logo

app_name = "providers"
urlpatterns = [
    path("providers/", entries.list_, name="list"),
    path("providers/add", entries.add, name="add"),
    path("providers/preview", entries.preview, name="preview"),
    path("providers/<int:pk>", entries.card, name="card"),
    path("providers/<int:pk>/edit", entries.edit, name="edit"),
    path("providers/<int:pk>/restore", entries.restore, name="restore"),
    path("providers/<int:pk>/delete", entries.delete, name="delete"),
    path("providers/<int:pk>/hide", entries.hide, name="hide"),
    path("providers/<int:pk>/show", entries.show, name="show"),
    path("providers/<int:pk>/logo", logo.logo, name="logo"),
    path("providers/domains", domains.list_, name="domains"),
    path("providers/domains/look-up", domains.look_up, name="look-up"),
    path("providers/domains/add", domains.add, name="domain-add"),
    path("providers/domains/<int:pk>/edit", domains.edit, name="domain-edit"),
    path("providers/domains/<int:pk>/delete", domains.delete, name="domain-delete"),
]
