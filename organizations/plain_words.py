"""What a form says about a wrong value: which field, what is wrong, what to do. Replaces the sentences of Django."""

from __future__ import annotations

from typing import ClassVar, Final

from django import forms
from django.forms.utils import pretty_name

from organizations.fields import INVISIBLE, refuse_invisible_characters

NUL: Final = "null_characters_not_allowed"
HIDDEN: Final = "Something that the page sends along is missing or wrong. Reload the page and try again."

_CHOICES: Final = (forms.ChoiceField, forms.ModelChoiceField)
_EXAMPLES: Final[dict[type[forms.Field], str]] = {
    forms.EmailField: "an email address such as anna@example.com",
    forms.URLField: "an address such as https://example.com",
    forms.DateTimeField: "a date and a time such as 2026-03-31 14:30",
    forms.DateField: "a date such as 2026-03-31",
    forms.TimeField: "a time such as 14:30",
    forms.IntegerField: "a whole number",
}


class PlainWords(forms.BaseForm):
    """A form whose fields speak plainly; stands before `forms.Form` or `forms.ModelForm`.

    A message that a field was given stays. Only what Django would say by itself is replaced, when the form is checked:
    labels may be set until then. Fields of one line take no invisible characters, but for those in `free_text`.
    """

    #: Fields whose text is no name of anything: what is searched for, and the subject of a mail.
    free_text: ClassVar[frozenset[str]] = frozenset({"q"})

    def full_clean(self) -> None:
        for name, field in self.fields.items():
            speak_plainly(field, str(field.label or pretty_name(name)))
            names_something = name not in self.free_text and _is_one_line(field)
            if names_something and refuse_invisible_characters not in field.validators:
                field.validators.append(refuse_invisible_characters)
        super().full_clean()
        for name, errors in self.errors.items():
            for error in errors.as_data():
                if error.code == NUL:  # a choice among rows says this past its own messages
                    error.message = self.fields[name].error_messages[NUL]


def _is_one_line(field: forms.Field) -> bool:
    """Typed and seen; addresses are checked by more than this."""
    unseen = (forms.Textarea, forms.PasswordInput)
    return (
        isinstance(field, forms.CharField)
        and not isinstance(field, forms.EmailField | forms.URLField)
        and not (isinstance(field.widget, unseen))
    )


def speak_plainly(field: forms.Field, label: str) -> None:
    """Replace the sentences that Django would use for `field`."""
    own = _words(field, label)
    defaults = _said_by_django(field)
    for code, words in own.items():
        if code not in field.error_messages or field.error_messages[code] == defaults.get(code):
            field.error_messages[code] = words


def _said_by_django(field: forms.Field) -> dict[str, object]:
    """The messages that the classes of Django give to `field`."""
    said: dict[str, object] = {}
    for ancestor in reversed(type(field).__mro__):
        if ancestor.__module__.startswith("django."):
            said |= vars(ancestor).get("default_error_messages", {})
    return said


def _words(field: forms.Field, label: str) -> dict[str, str]:
    """A sentence by error code; `%(...)` is filled in by whoever raises the error."""
    if field.widget.is_hidden:
        return dict.fromkeys([*field.error_messages, "max_length", NUL, INVISIBLE], HIDDEN)
    name = f"“{label.replace('%', '%%')}”"
    gone = f"{name} does not offer that. Choose again."
    example = next((example for kind, example in _EXAMPLES.items() if isinstance(field, kind)), "")
    return {
        "required": f"{name} is empty. {'Choose one.' if isinstance(field, _CHOICES) else 'Fill it in.'}",
        "invalid": f"{name} wants {example}." if example else f"{name} cannot be read as it is. Write it again.",
        "invalid_choice": gone,
        "invalid_list": gone,
        "invalid_pk_value": gone,
        "max_length": f"{name} takes at most %(limit_value)d characters, and these are %(show_value)d. Shorten it.",
        "min_length": f"{name} wants at least %(limit_value)d characters, and these are %(show_value)d.",
        "min_value": f"{name} begins at %(limit_value)s. Choose that or more.",
        "max_value": f"{name} ends at %(limit_value)s. Choose that or less.",
        INVISIBLE: f"{name} has an invisible character in it that can make it look like something else. Type it again.",
        NUL: f"{name} has an invisible character in it that cannot be kept. Type it again.",
        "unique": f"{name}: there is one like this already. Choose another one.",
        **(_words_about_files(name) if isinstance(field, forms.FileField) else {}),
    }


def _words_about_files(name: str) -> dict[str, str]:
    return {
        "required": f"{name}: choose a file.",
        "invalid": f"{name}: the file did not arrive. Choose it again.",
        "missing": f"{name}: the file did not arrive. Choose it again.",
        "empty": f"{name}: the file is empty. Choose another one.",
        "max_length": f"{name}: the name of the file is longer than %(max)d characters. Rename it and choose it again.",
        "contradiction": f"{name}: choose a file, or tick the box to take it away; not both.",
        "invalid_image": f"{name}: this is no picture that can be read. Choose a PNG or JPEG file.",
    }
