"""What those who manage people type: invitations, people, roles."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models.functions import Lower

from organizations import authority
from organizations.fields import NameField
from organizations.models import Organization, Role, User
from organizations.plain_words import PlainWords

ADDRESS_TAKEN = "Somebody in your organization has this address already. Use another one."
NAME_TAKEN = "A role has this name already. Choose another one."


class InviteForm(PlainWords, forms.Form):
    """Offers the roles that are the inviting person's to give."""

    name = NameField(label="Name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    email = forms.EmailField(
        label="Email address",
        max_length=254,
        help_text="The person signs in with it.",
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    roles = forms.TypedMultipleChoiceField(
        required=False, label="Roles", coerce=int, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        every = list(Role.objects.filter(organization=user.organization).order_by("-is_administrators", Lower("name")))
        refused = authority.refusals_over_roles(user, every)
        self.roles_withheld = len(refused)
        self.offered = {role.pk: role for role in every if role.pk not in refused}
        field = self.fields["roles"]
        assert isinstance(field, forms.TypedMultipleChoiceField)
        field.choices = [(pk, role.name) for pk, role in self.offered.items()]

    def clean_roles(self) -> list[Role]:
        return [self.offered[pk] for pk in self.cleaned_data["roles"]]


class PersonForm(PlainWords, forms.Form):
    name = NameField(label="Name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    email = forms.EmailField(
        label="Email address", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, person: User, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {"name": person.name, "email": person.email}
        self.person = person
        refusal = authority.refusal_to_readdress(user)
        self.fields["email"].help_text = refusal or "A new one counts once the link that is mailed there is opened."
        self.fields["email"].disabled = bool(refusal)
        if authority.refusal_to_change(user, person):
            self.fields["name"].disabled = self.fields["email"].disabled = True

    @property
    def may_change_anything(self) -> bool:
        return not self.fields["name"].disabled

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"])
        colleagues = User.objects.filter(organization=self.person.organization).exclude(pk=self.person.pk)
        if colleagues.filter(email__iexact=email).exists():  # nobody is told about other organizations
            raise ValidationError(ADDRESS_TAKEN)
        return email


class RoleForm(PlainWords, forms.Form):
    name = NameField(label="Name", max_length=100, widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: Any, organization: Organization, role: Role | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {"name": role.name} if role else {}
        self.organization, self.role = organization, role

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        others = Role.objects.filter(organization=self.organization, name__iexact=name)
        if self.role is not None:
            others = others.exclude(pk=self.role.pk)
        if others.exists():
            raise ValidationError(NAME_TAKEN)
        return name
