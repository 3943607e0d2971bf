"""Letters that are likely to meet: few people, few subjects, times around the limits of the rule."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.protocols.message.small_mailboxes import Letter

_SUBJECTS = ["Plan for the new office", "Hello", "Invoice 4711"]
_PREFIXES = ["", "Re: ", "Re: ", "AW: ", "Fwd: ", "[list] Re: "]
_NAMES = [f"m{number}" for number in range(8)]


def _letter(
    name: str, author: str, to: tuple[str, ...], day: float, prefix: str, subject: str, refers: list[str], mark: str
) -> Letter:
    # Without Message-ID two letters of the same content could not be told apart; the day differs for each name.
    return Letter(name, author, to, day + _NAMES.index(name) / 100_000, prefix + subject, tuple(refers), mark)


LETTERS = st.builds(
    _letter,
    st.sampled_from(_NAMES),
    st.sampled_from(["me", "carol", "dave"]),
    st.sampled_from([("me",), ("carol",), ("dave",), ("me", "dave"), ("carol", "dave"), ("info",)]),
    st.sampled_from([1.0, 1.004, 2.0, 5.0, 8.0, 9.5, 20.0, 31.0, 33.0]),
    st.sampled_from(_PREFIXES),
    st.sampled_from([_SUBJECTS[0], *_SUBJECTS]),
    st.lists(st.sampled_from([*_NAMES, "gone"]), max_size=2) | st.just([]),
    st.sampled_from(["", "", "", "", "!", "%", "~"]),
)
