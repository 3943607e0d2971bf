"""The access page of a mailbox and what changes it, below `/mailboxes/<id>/settings/access`."""

from django.urls import path

from accounts import sharing_pages

urlpatterns = [
    path("", sharing_pages.access, name="access"),
    path("/switch", sharing_pages.switch, name="access-switch"),
    path("/add", sharing_pages.add, name="access-add"),
    path("/candidates", sharing_pages.candidates, name="access-candidates"),
    path("/<int:grant_pk>/tick", sharing_pages.tick, name="access-tick"),
    path("/<int:grant_pk>/end", sharing_pages.end, name="access-end"),
    path("/<int:grant_pk>/remove", sharing_pages.remove, name="access-remove"),
]
