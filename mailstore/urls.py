"""Pages of this app."""

from django.urls import path

from mailstore.views import changes, content, conversation, panel, receiving, reconciliation, search

app_name = "mailstore"
urlpatterns = [
    path("mail/", panel.mail, name="mail"),
    path("mail/search", search.search, name="search"),
    path("mail/<int:mailbox_pk>/", panel.mailbox, name="mailbox"),
    path("mail/<int:mailbox_pk>/folders", panel.folders, name="folders"),
    path("mail/<int:mailbox_pk>/sync", receiving.sync, name="sync"),
    path("mail/<int:mailbox_pk>/sync/release", receiving.release_sync, name="release-sync"),
    path("mail/<int:mailbox_pk>/download", receiving.download, name="download"),
    path("mail/<int:mailbox_pk>/estimate", receiving.estimate, name="estimate"),
    path("mail/<int:mailbox_pk>/folders/refresh", receiving.refresh_folders, name="refresh-folders"),
    path("mailboxes/<int:pk>/settings/reconciliation", reconciliation.reconciliation, name="reconciliation"),
    path(
        "mailboxes/<int:pk>/settings/reconciliation/live",
        reconciliation.reconciliation_live,
        name="reconciliation-live",
    ),
    path("mail/<int:mailbox_pk>/download-again", receiving.download_again, name="download-again"),
    path("mail/folder/<int:pk>", panel.folder, name="folder"),
    path("mail/folder/<int:pk>/newest", panel.newest, name="newest"),
    path("mail/folder/<int:pk>/change", changes.change, name="change"),
    path("mail/folder/<int:pk>/move", changes.move, name="move"),
    path("mail/folder/<int:pk>/remove", changes.remove, name="remove"),
    path("mail/<int:mailbox_pk>/refused", changes.dismiss, name="dismiss"),
    path("mail/undo/<uuid:batch>", changes.undo, name="undo"),
    path("mail/conversation/<int:pk>", conversation.conversation, name="conversation"),
    path("mail/message/<int:pk>", conversation.message, name="message"),
    path("mail/message/<int:pk>/body", content.message_body, name="message-body"),
    path("mail/message/<int:pk>/source", content.source, name="source"),
    path("mail/attachment/<int:pk>", content.attachment, name="attachment"),
    path("mail/inline/<str:token>", content.inline_image, name="inline-image"),
]
