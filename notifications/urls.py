"""Pages of this app."""

from django.urls import path

from notifications import views

app_name = "notifications"
urlpatterns = [
    path("notifications/", views.notification_list, name="list"),
    path("notifications/newer", views.newer, name="newer"),
    path("notifications/bell", views.bell, name="bell"),
    path("notifications/<int:pk>/open", views.open_notification, name="open"),
    path("notifications/read-all", views.read_all, name="read-all"),
    path("notifications/settings", views.settings, name="settings"),
]
