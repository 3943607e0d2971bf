"""Pages of one's own API tokens; names stand in the namespace of this app."""

from django.urls import path

from accounts import token_pages

urlpatterns = [
    path("profile/tokens", token_pages.tokens, name="tokens"),
    path("profile/tokens/revoke-all", token_pages.revoke_all_tokens, name="tokens-revoke-all"),
    path("profile/tokens/<int:pk>/revoke", token_pages.revoke_token, name="token-revoke"),
]
