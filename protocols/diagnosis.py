"""What the doctor says about a failed check (spec D2). The rules behind it are rows in `mailservers`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Who(StrEnum):
    """Who can cure it."""

    USER = "user"
    ADMINISTRATOR = "administrator"
    PROVIDER = "provider"
    WAIT = "wait"


class Retry(StrEnum):
    """What the engine may do by itself."""

    STOP = "stop"
    BACK_OFF = "back off"
    ONCE_LATER = "once later"
    NEXT_DAY = "next day"


@dataclass(frozen=True, slots=True)
class Cause:
    """One possible cause. field: the form field to correct; link: where the cure is explained; both may be empty."""

    cause: str
    cure: str
    who: Who
    field: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Causes in order of likelihood for this provider. `fixes` are form values offered in one click (spec D3)."""

    code: str
    title: str
    causes: tuple[Cause, ...]
    retry: Retry
    fixes: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        return asdict(self)
