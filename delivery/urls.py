"""Pages of this app."""

from django.urls import path

from delivery.views import compose, log

app_name = "delivery"
urlpatterns = [
    path("logs/email", log.email_log, name="email-log"),
    path("logs/email/<int:pk>", log.message, name="message"),
    path("logs/email/<int:pk>/row", log.log_row, name="log-row"),
    path("logs/email/<int:pk>/story", log.message_story, name="message-story"),
    path("logs/email/<int:pk>/resend", log.resend, name="resend"),
    path("logs/email/<int:pk>/<slug:decision>", log.decide, name="decide"),
    path("mail/compose", compose.compose, name="compose"),
    path("mail/<int:pk>/reply", compose.reply, name="reply"),
    path("mail/<int:pk>/forward", compose.forward, name="forward"),
]
