"""The words in which checks are shown: steps, who can help, and the button that brings a fix about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mailservers.fixes import label_of
from protocols.diagnosis import Diagnosis, Who
from protocols.steps import Step, StepName, StepStatus

_STEPS = {
    StepName.DNS: "Host name",
    StepName.TCP: "Connection",
    StepName.TLS: "Encryption",
    StepName.GREETING: "Greeting",
    StepName.STARTTLS: "Encryption",
    StepName.CAPABILITIES: "Abilities",
    StepName.LOGIN: "Sign-in",
    StepName.FOLDERS: "Folders",
    StepName.INBOX: "Inbox",
    StepName.SENDER: "Sender",
}
_WHO = {
    Who.USER: "You can fix this",
    Who.ADMINISTRATOR: "An administrator can fix this",
    Who.PROVIDER: "Only the provider can fix this",
    Who.WAIT: "This passes by itself",
}
LONGEST_DETAIL = 90


@dataclass(frozen=True, slots=True)
class Fix:
    """A cure in one click. values: JSON of form field -> value."""

    label: str
    values: str


def step_label(name: str) -> str:
    return _STEPS[StepName(name)]


def who_label(who: str) -> str:
    return _WHO[Who(who)]


def shown_detail(step: Step) -> str:
    """One short line: a passed step needs no protocol words, a failed one keeps the server's."""
    if step.status is StepStatus.OK:
        if step.name in (StepName.CAPABILITIES, StepName.SENDER):
            return {StepName.CAPABILITIES: "known", StepName.SENDER: "may send"}[step.name]
        if step.name is StepName.LOGIN:
            return step.detail or "accepted"
    detail = step.detail
    return detail if len(detail) <= LONGEST_DETAIL else f"{detail[: LONGEST_DETAIL - 1].rstrip()}…"


def fix_of(diagnosis: Diagnosis | None, fills: Mapping[str, str]) -> Fix | None:
    """The button under a diagnosis; None where nothing can be filled in for the person."""
    if diagnosis is None or not diagnosis.fixes:
        return None
    values = {fills.get(name, name): value for name, value in diagnosis.fixes.items()}
    return Fix(label_of(diagnosis.fixes), json.dumps(values))
