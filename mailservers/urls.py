"""Pages of this app."""

from django.urls import path

from mailservers import provider_check, views

app_name = "mailservers"
urlpatterns = [
    path("mail-servers/", views.section, name="section"),
    path("mail-servers/add", views.create, name="create"),
    path("mail-servers/add/service", views.service, name="service-new"),
    path("mail-servers/add/check", views.check, name="check-new"),
    path("mail-servers/<int:pk>/card", views.card, name="card"),
    path("mail-servers/<int:pk>/edit", views.edit, name="edit"),
    path("mail-servers/<int:pk>/service", views.service, name="service"),
    path("mail-servers/<int:pk>/check", views.check, name="check"),
    path("mail-servers/<int:pk>/delete", views.delete, name="delete"),
    path("mail-servers/<int:pk>/test-message", views.test_message, name="test-message"),
    path("providers/<int:pk>/test", provider_check.provider_check, name="provider-check"),
]
