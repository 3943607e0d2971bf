"""Pages of this app."""

from django.urls import path

from delivery.views import compose, drafts, log, log_keeping, log_runs, scheduled, suppressions, uncertain, undo

app_name = "delivery"
urlpatterns = [
    path("logs/email", log.email_log, name="email-log"),
    path("logs/email/export", log.export, name="log-export"),
    path("logs/email/retention", log_keeping.retention, name="log-retention"),
    path("logs/email/all/<slug:decision>", log_runs.ask, name="log-ask"),
    path("logs/email/runs/<int:pk>", log_runs.log_run, name="log-run"),
    path("logs/email/runs/<int:pk>/stop", log_runs.stop_run, name="log-run-stop"),
    path("logs/email/<int:pk>", log.message, name="message"),
    path("logs/email/<int:pk>/row", log.log_row, name="log-row"),
    path("logs/email/<int:pk>/story", log.message_story, name="message-story"),
    path("logs/email/<int:pk>/uncertain/<slug:decision>", uncertain.settle, name="settle-uncertain"),
    path("logs/email/<int:pk>/resend", log.resend, name="resend"),
    path("logs/email/<int:pk>/<slug:decision>", log.decide, name="decide"),
    path("mail/outbox/undo/<int:pk>", undo.undo, name="undo"),
    path("mail/outbox/bar", undo.bar, name="undo-bar"),
    path("mail/outbox/<int:pk>/reopen", compose.reopen, name="reopen"),
    path("mail/scheduled", scheduled.scheduled, name="scheduled"),
    path("mail/scheduled/<int:pk>", scheduled.reschedule, name="reschedule"),
    path("mail/scheduled/<int:pk>/row", scheduled.row, name="scheduled-row"),
    path("mail/scheduled/<int:pk>/take-back", scheduled.take_back, name="take-back"),
    path("communications/settings/email/suppressions", suppressions.list_, name="suppressions"),
    path("communications/settings/email/suppressions/export", suppressions.export, name="suppressions-export"),
    path("communications/settings/email/suppressions/add", suppressions.add, name="suppression-add"),
    path("communications/settings/email/suppressions/<int:pk>/remove", suppressions.remove, name="suppression-remove"),
    path("mail/compose", compose.compose, name="compose"),
    path("mail/compose/image", drafts.fetch_image, name="compose-image"),
    path("mail/drafts", drafts.drafts, name="drafts"),
    path("mail/drafts/<slug:key>", drafts.save, name="save-draft"),
    path("mail/drafts/<slug:key>/files", drafts.keep_files, name="draft-files"),
    path("mail/drafts/<slug:key>/discard", drafts.discard, name="discard-draft"),
    path("mail/<int:pk>/reply", compose.reply, name="reply"),
    path("mail/<int:pk>/forward", compose.forward, name="forward"),
]
