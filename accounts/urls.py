"""Pages of this app."""

from django.urls import include, path

from accounts import advanced_page, dialogs, settings_page, signature_page, wizard, wizard_connect

app_name = "accounts"
urlpatterns = [
    path("mailboxes/add", wizard.address, name="wizard"),
    path("mailboxes/add/provider", wizard.provider, name="wizard-provider"),
    path("mailboxes/add/servers", wizard.servers, name="wizard-servers"),
    path("mailboxes/add/connect", wizard_connect.attempt, name="wizard-connect"),
    path("mailboxes/<int:pk>/connected", wizard_connect.connected, name="connected"),
    path("mailboxes/<int:pk>/settings", settings_page.receive, name="settings"),
    path("mailboxes/<int:pk>/settings/send", settings_page.send, name="settings-send"),
    path("mailboxes/<int:pk>/settings/folders", settings_page.folders, name="settings-folders"),
    path("mailboxes/<int:pk>/settings/signature", signature_page.edit, name="settings-signature"),
    path(
        "mailboxes/<int:pk>/settings/signature/images/<str:sha256>",
        signature_page.image,
        name="settings-signature-image",
    ),
    path("mailboxes/<int:pk>/settings/signature/fetch", signature_page.fetch_image, name="settings-signature-fetch"),
    path("mailboxes/<int:pk>/settings/signature/preview", signature_page.preview, name="settings-signature-preview"),
    path("mailboxes/<int:pk>/settings/log", settings_page.log, name="settings-log"),
    path("mailboxes/<int:pk>/settings/advanced", advanced_page.advanced, name="settings-advanced"),
    path("mailboxes/<int:pk>/settings/advanced/servers", advanced_page.servers, name="settings-servers"),
    path("mailboxes/<int:pk>/settings/advanced/check", advanced_page.check, name="settings-check"),
    path("mailboxes/<int:pk>/settings/advanced/pause", advanced_page.pause, name="settings-pause"),
    path("mailboxes/<int:pk>/settings/advanced/resume", advanced_page.resume, name="settings-resume"),
    path("mailboxes/<int:pk>/settings/", include("accounts.sharing_urls")),
    path("", include("accounts.token_urls")),
    path("mailboxes/new", dialogs.create, name="create"),
    path("mailboxes/<int:pk>/edit", dialogs.edit, name="edit"),
    path("mailboxes/check", dialogs.check, name="check-new"),
    path("mailboxes/<int:pk>/check", dialogs.check, name="check"),
    path("mailboxes/<int:pk>/delete", dialogs.delete, name="delete"),
]
