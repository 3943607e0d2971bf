"""Sign-in (django-allauth's views, under its own names), the first administrator, the profile, and people.

allauth's other pages stay closed: nobody registers alone, and addresses are changed by administrators.
"""

from allauth.account import views as allauth
from django.urls import include, path

from organizations.views import account_mail, audit_log, entrance, invitations, operations, people, profile, roles

organizations = (
    [
        path("setup/<str:token>", entrance.setup, name="setup"),
        path("profile", profile.profile, name="profile"),
        path("people/", people.people_list, name="people"),
        path("people/invite", invitations.invite, name="invite"),
        path("people/invitations/<str:token>", entrance.invitation, name="invitation"),
        path("people/invitations/<int:pk>/renew", invitations.renew, name="renew-invitation"),
        path("people/invitations/<int:pk>/withdraw", invitations.withdraw, name="withdraw-invitation"),
        path("people/<int:pk>", people.person, name="person"),
        path("people/address/<str:token>", entrance.confirm_address, name="confirm-address"),
        path("people/<int:pk>/address/withdraw", people.withdraw_address, name="withdraw-address"),
        path("people/<int:pk>/deactivate", people.deactivate, name="deactivate"),
        path("people/<int:pk>/reactivate", people.reactivate, name="reactivate"),
        path("people/<int:pk>/remove", people.remove, name="remove"),
        path("people/<int:pk>/roles", people.join_role, name="join-role"),
        path("people/<int:pk>/roles/<int:role_pk>/leave", people.leave_role, name="leave-role"),
        path("people/roles", roles.role_list, name="roles"),
        path("people/roles/new", roles.create_role, name="create-role"),
        path("people/roles/<int:pk>", roles.role, name="role"),
        path("people/roles/<int:pk>/delete", roles.delete_role, name="delete-role"),
        path("people/roles/<int:pk>/members", roles.add_member, name="add-member"),
        path("people/roles/<int:pk>/members/<int:person_pk>/remove", roles.remove_member, name="remove-member"),
        path("people/operations", operations.operations, name="operations"),
        path("people/account-mail/test", account_mail.test_account_mail, name="test-account-mail"),
        path("logs/audit", audit_log.audit_log_page, name="audit-log"),
        path("logs/audit/export", audit_log.audit_log_export, name="audit-log-export"),
    ],
    "organizations",
)

urlpatterns = [
    path("account/login/", allauth.login, name="account_login"),
    path("account/logout/", allauth.logout, name="account_logout"),
    path("account/inactive/", allauth.account_inactive, name="account_inactive"),
    path("account/password/change/", allauth.password_change, name="account_change_password"),
    path("account/password/reset/", allauth.password_reset, name="account_reset_password"),
    path("account/password/reset/sent/", allauth.password_reset_done, name="account_reset_password_done"),
    path(
        "account/password/reset/<str:uidb36>/<str:key>/",
        allauth.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path(
        "account/password/reset/done/",
        allauth.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    path("", include(organizations)),
]
