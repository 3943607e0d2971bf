"""Sign-in, the first administrator, and one's own profile."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as allauth_forms
from django import forms
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError

from organizations import timezones
from organizations.models import User
from organizations.plain_words import PlainWords
from organizations.setup import FirstAdministrator

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


class ChangePasswordForm(PlainWords, allauth_forms.ChangePasswordForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = {"oldpassword": "Current password", "password1": "New password", "password2": "New password, again"}
        for name, label in labels.items():
            field = self.fields[name]
            field.label, field.help_text = label, ""
            field.widget.attrs.pop("placeholder", None)
        self.fields["password1"].help_text = RULE_FOR_PASSWORDS


class SetupForm(PlainWords, forms.Form):
    """The first administrator and the name of the organization."""

    organization_name = forms.CharField(
        label="Organization", max_length=200, widget=forms.TextInput(attrs={"autocomplete": "organization"})
    )
    name = forms.CharField(label="Your name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"}))
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
        if "password" in values:
            person = User(name=values.get("name", ""), email=values.get("email", ""))
            try:
                password_validation.validate_password(values["password"], person)
            except ValidationError as error:
                self.add_error("password", error)
        return values

    def first_administrator(self) -> FirstAdministrator:
        return FirstAdministrator(**self.cleaned_data)


class ProfileForm(PlainWords, forms.ModelForm):  # type: ignore[type-arg]
    time_zone = forms.ChoiceField(
        label="Time zone", choices=timezones.choices, help_text="Every time you see is shown in it."
    )

    class Meta:
        model = User
        fields = ("name", "time_zone")
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}
