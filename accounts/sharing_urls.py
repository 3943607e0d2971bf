"""The access page of a mailbox and what changes it, below `/mailboxes/<id>/settings/access`."""

from django.urls import path

from accounts import sharing_pages

urlpatterns = [
    path("access", sharing_pages.access, name="access"),
    path("access/switch", sharing_pages.switch, name="access-switch"),
    path("access/add", sharing_pages.add, name="access-add"),
    path("access/candidates", sharing_pages.candidates, name="access-candidates"),
    path("access/<int:grant_pk>/tick", sharing_pages.tick, name="access-tick"),
    path("access/<int:grant_pk>/end", sharing_pages.end, name="access-end"),
    path("access/<int:grant_pk>/remove", sharing_pages.remove, name="access-remove"),
]
