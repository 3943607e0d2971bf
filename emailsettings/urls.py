"""Every URL of the product."""

from django.urls import include, path

from emailsettings import events, options, unread, workspace

urlpatterns = [
    path("", workspace.home, name="home"),
    path("communications/settings/email", workspace.email_settings, name="email-settings"),
    path("communications/settings/email/overview", workspace.overview, name="email-settings-overview"),
    path("communications/settings/email/accounts", workspace.accounts, name="email-settings-accounts"),
    path("communications/settings/email/mailboxes/<int:pk>", workspace.mailbox_card, name="email-settings-mailbox"),
    path("communications/settings/email/options", options.options, name="email-options"),
    path("mailboxes/<int:pk>/unread", unread.unread, name="unread"),
    path("events", events.events, name="events"),
    path("api/v1/", include("emailsettings.api.urls")),
    path("", include("organizations.urls")),
    path("", include("notifications.urls")),
    path("", include("providers.urls")),
    path("", include("mailservers.urls")),
    path("", include("accounts.urls")),
    path("", include("mailstore.urls")),
    path("", include("delivery.urls")),
]
