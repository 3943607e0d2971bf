"""Sign-in, passwords, the first administrator, invited people, and one's own profile."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as allauth_forms
from allauth.core import context
from django import forms
from django.contrib import messages
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from organizations import links, password_recovery, timezones, tokens
from organizations.fields import NameField
from organizations.invitations import Newcomer
from organizations.models import ApiToken, UndoPeriod, User
from organizations.nudging import nudge
from organizations.plain_words import PlainWords
from organizations.setup import FirstAdministrator
from organizations.tasks import send_password_link
from protocols.message import languages

RULE_FOR_PASSWORDS = "At least 10 characters; not one of the well-known ones."


class SignInForm(PlainWords, allauth_forms.LoginForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        login, password = self.fields["login"], self.fields["password"]
        login.label, password.label = "Email address", "Password"
        password.help_text = ""
        login.widget.attrs["autocomplete"] = "username"
        for field in (login, password):
            field.widget.attrs.pop("placeholder", None)


class RevokingTokens(forms.Form):
    """A new password, and with it, if wanted, the end of the person's API tokens; says so only where there are any.

    Tokens outlive a password, as on GitHub and GitLab: nobody got them by the password, and programs would stop
    unseen. Who sets a new one because somebody else may have been in wants them to end, which is asked here.
    """

    user: User | None

    def offer(self, *, ticked: bool) -> None:
        """Add the tick where `user` has tokens that work."""
        number = ApiToken.objects.of(self.user).usable_at(timezone.now()).count() if self.user else 0
        if number:
            self.fields["revokes_tokens"] = forms.BooleanField(
                label="Also revoke my API token" if number == 1 else f"Also revoke my {number} API tokens",
                help_text="Programs that use them stop at once. Without this they go on working: tokens do not depend "
                "on the password.",
                required=False,
                initial=ticked,
            )

    def save(self) -> None:
        with transaction.atomic():
            super().save()  # type: ignore[misc]
            if self.cleaned_data.get("revokes_tokens") and self.user is not None:
                number = tokens.revoke_all(self.user, timezone.now(), context.request)
                messages.success(context.request, f"{number} API token{'s' * (number != 1)} revoked.")


class ChangePasswordForm(PlainWords, RevokingTokens, allauth_forms.ChangePasswordForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer(ticked=False)
        labels = {"oldpassword": "Current password", "password1": "New password", "password2": "New password, again"}
        for name, label in labels.items():
            field = self.fields[name]
            field.label, field.help_text = label, ""
            field.widget.attrs.pop("placeholder", None)
        self.fields["password1"].help_text = RULE_FOR_PASSWORDS


class ForgottenPasswordForm(PlainWords, allauth_forms.ResetPasswordForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = "Email address"
        self.fields["email"].widget.attrs.pop("placeholder", None)
        self.fields["email"].widget.attrs["autocomplete"] = "username"

    def save(self, request: HttpRequest, **kwargs: Any) -> str:
        """The same work whether anybody has the address or not."""
        user = next((each for each in self.users if each.is_active), None)
        wanted = password_recovery.request_link(user, links.origin(request), timezone.now())
        nudge(send_password_link, wanted.pk)
        return str(self.cleaned_data["email"])


class NewPasswordForm(PlainWords, RevokingTokens, allauth_forms.ResetPasswordKeyForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer(ticked=True)  # a password is recovered also after somebody took it
        for name, label in {"password1": "New password", "password2": "New password, again"}.items():
            field = self.fields[name]
            field.label, field.help_text = label, ""
            field.widget.attrs.pop("placeholder", None)
        self.fields["password1"].help_text = RULE_FOR_PASSWORDS

    def clean(self) -> dict[str, Any]:
        """A link from before the person was deactivated must not set what will count after."""
        if self.user is not None and not self.user.is_active:
            raise ValidationError("This account is switched off. An administrator can switch it on again.")
        super().clean()
        return self.cleaned_data


def _refuse_weak_password(form: forms.Form, person: User) -> None:
    """Judge the typed password, also by its likeness to what is known of the person."""
    if "password" in form.cleaned_data:
        try:
            password_validation.validate_password(form.cleaned_data["password"], person)
        except ValidationError as error:
            form.add_error("password", error)


class SetupForm(PlainWords, forms.Form):
    """The first administrator and the name of the organization."""

    organization_name = NameField(
        label="Organization", max_length=200, widget=forms.TextInput(attrs={"autocomplete": "organization"})
    )
    name = NameField(label="Your name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(
        label="Your email address",
        max_length=254,
        help_text="You sign in with it.",
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )
    password = forms.CharField(
        label="Password",
        strip=False,
        help_text=RULE_FOR_PASSWORDS,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    time_zone = forms.CharField(
        required=False, max_length=63, widget=forms.HiddenInput(attrs={"data-own-time-zone": ""})
    )

    def clean_time_zone(self) -> str:
        return timezones.known_or_utc(self.cleaned_data["time_zone"])

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        _refuse_weak_password(self, User(name=values.get("name", ""), email=values.get("email", "")))
        return values

    def first_administrator(self) -> FirstAdministrator:
        return FirstAdministrator(**self.cleaned_data)


class TimeZoneField(forms.ChoiceField):
    """Offers the names of today, and takes the old ones too: browsers and programs still report them."""

    def __init__(self, **named: Any) -> None:
        super().__init__(choices=timezones.choices, **named)

    def valid_value(self, value: Any) -> bool:
        return value in timezones.names()


class JoinForm(PlainWords, forms.Form):
    """What an invited person sets."""

    name = NameField(label="Your name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    password = forms.CharField(
        label="Password",
        strip=False,
        max_length=200,
        help_text=RULE_FOR_PASSWORDS,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    time_zone = TimeZoneField(
        label="Time zone",
        help_text="Every time you see is shown in it.",
        widget=forms.Select(attrs={"data-own-time-zone": ""}),
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        _refuse_weak_password(self, User(name=values.get("name", ""), email=self.email))
        return values

    def newcomer(self) -> Newcomer:
        return Newcomer(**self.cleaned_data)


class ProfileForm(PlainWords, forms.ModelForm):  # type: ignore[type-arg]
    name = NameField(label="Name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    language = forms.ChoiceField(
        label="Language",
        choices=languages.choices,
        help_text="Of what is written into the mail you send, such as “On 3 March 2026, Carol wrote:”. Each email "
        "account can have another one. The pages are in English.",
    )
    time_zone = TimeZoneField(label="Time zone", help_text="Every time you see is shown in it.")
    undo_seconds = forms.TypedChoiceField(
        label="Take back mail after Send",
        coerce=int,
        choices=UndoPeriod.choices,
        help_text="For so long it waits, and “Undo” opens it again.",
    )

    class Meta:
        model = User
        fields = ("name", "language", "time_zone", "undo_seconds")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        time_zone = self.fields["time_zone"]
        assert isinstance(time_zone, TimeZoneField)
        time_zone.choices = timezones.choices_with(self.instance.time_zone)
