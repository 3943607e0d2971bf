"""Pages of this app."""

from django.urls import include, path

from accounts import dialogs, settings_page, wizard, wizard_connect

app_name = "accounts"
urlpatterns = [
    path("mailboxes/add", wizard.address, name="wizard"),
    path("mailboxes/add/provider", wizard.provider, name="wizard-provider"),
    path("mailboxes/add/servers", wizard.servers, name="wizard-servers"),
    path("mailboxes/add/connect", wizard_connect.attempt, name="wizard-connect"),
    path("mailboxes/<int:pk>/connected", wizard_connect.connected, name="connected"),
    path("mailboxes/<int:pk>/settings", settings_page.receive, name="settings"),
    path("mailboxes/<int:pk>/settings/access", include("accounts.sharing_urls")),
    path("", include("accounts.token_urls")),
    path("mailboxes/new", dialogs.create, name="create"),
    path("mailboxes/<int:pk>/edit", dialogs.edit, name="edit"),
    path("mailboxes/check", dialogs.check, name="check-new"),
    path("mailboxes/<int:pk>/check", dialogs.check, name="check"),
    path("mailboxes/<int:pk>/delete", dialogs.delete, name="delete"),
]
