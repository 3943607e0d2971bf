"""Sign-in (django-allauth's views, under its own names), the first administrator, and the profile.

allauth's other pages stay closed: nobody registers alone, and addresses are changed by administrators.
"""

from allauth.account import views as allauth
from django.urls import include, path

from organizations import views

organizations = (
    [
        path("setup/<str:token>", views.setup, name="setup"),
        path("profile", views.profile, name="profile"),
    ],
    "organizations",
)

urlpatterns = [
    path("account/login/", allauth.login, name="account_login"),
    path("account/logout/", allauth.logout, name="account_logout"),
    path("account/inactive/", allauth.account_inactive, name="account_inactive"),
    path("account/password/change/", allauth.password_change, name="account_change_password"),
    path("", include(organizations)),
]
