"""How states, phases and people are said on the pages of outgoing mail."""

from __future__ import annotations

from django import template

from delivery.explaining import KINDS, WHO
from delivery.states import State
from delivery.timeline import PHASES

register = template.Library()


@register.filter
def state_kind(state: str) -> str:
    """The colour of a state, for <c-state>."""
    return KINDS[State(state)]


@register.filter
def phase_words(phase: str) -> str:
    """Where an attempt ended, as it continues "Ended": "signing in"."""
    return PHASES.get(phase, phase)


@register.filter
def who_words(who: str) -> str:
    """Who can cure it, as a sentence."""
    return {str(known): words for known, words in WHO.items()}.get(who, "")
