"""What the product writes into mail, in every language of its table, and that it knows its own lines again."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes

import pytest

from protocols.message.addresses import Address
from protocols.message.build import OutgoingMessage, UnwritableField, build_message
from protocols.message.languages import LANGUAGES, Language, choices, language
from protocols.message.quoting import preview, reply_quotation, split_history

CAROL = Address("Carol Weber", "carol@example.org")
ODD_NAMES = [
    None,
    Address("Team: Support (north)", "t@example.org"),
    Address("", "a.very.long.address@example.org"),
    Address("Łucja wrote", "l@example.org"),
    Address("x" * 300, "x@example.org"),
]
THEN = datetime(2026, 3, 3, 10, 42, tzinfo=UTC)

every_language = pytest.mark.parametrize("words", LANGUAGES.values(), ids=LANGUAGES)


@pytest.mark.proves("A6")
@pytest.mark.parametrize(
    ("tag", "line"),
    [
        ("en", "On 3 March 2026 at 10:42, Carol Weber wrote:"),
        ("de", "Am 3. März 2026 um 10:42 schrieb Carol Weber:"),
        ("fr", "Le 3 mars 2026 à 10:42, Carol Weber a écrit\u00a0:"),
        ("es", "El 3 de marzo de 2026 a las 10:42, Carol Weber escribió:"),
        ("it", "Il giorno 3 marzo 2026 alle ore 10:42 Carol Weber ha scritto:"),
        ("pt", "Em 3 de março de 2026 às 10:42, Carol Weber escreveu:"),
        ("nl", "Op 3 maart 2026 om 10:42 schreef Carol Weber:"),
        ("pl", "Dnia 3 marca 2026 o 10:42 Carol Weber napisał(a):"),
        ("sv", "Den 3 mars 2026 kl. 10:42 skrev Carol Weber:"),
        ("da", "Den 3. marts 2026 kl. 10.42 skrev Carol Weber:"),
        ("nb", "Den 3. mars 2026 kl. 10:42 skrev Carol Weber:"),
        ("fi", "Carol Weber kirjoitti 3. maaliskuuta 2026 klo 10.42:"),
        ("cs", "Dne 3. března 2026 v 10:42 Carol Weber napsal(a):"),
        ("uk", "3 березня 2026 р. о 10:42 Carol Weber пише:"),
    ],
)
def test_each_language_says_who_wrote_and_when(tag: str, line: str):
    assert LANGUAGES[tag].attribution(CAROL, THEN) == line


def test_every_language_of_the_table_is_among_the_examples_above():
    assert sorted(LANGUAGES) == ["cs", "da", "de", "en", "es", "fi", "fr", "it", "nb", "nl", "pl", "pt", "sv", "uk"]


def test_the_first_of_a_month_is_written_as_the_language_does():
    first = datetime(2026, 5, 1, 9, 5, tzinfo=UTC)
    assert language("fr").moment(first) == "1er mai 2026 à 09:05"
    assert language("de").moment(first) == "1. Mai 2026 um 09:05"


def test_an_unknown_language_is_english():
    assert language("tlh") is LANGUAGES["en"]


@every_language
@pytest.mark.parametrize(
    ("sender", "sent_at"),
    [
        *((CAROL, THEN.replace(month=month, day=month)) for month in range(1, 13)),
        *((sender, sent_at) for sender in ODD_NAMES for sent_at in (THEN, None)),
    ],
)
def test_a_reply_folds_what_it_quotes_in_each_language(
    words: Language, sender: Address | None, sent_at: datetime | None
):
    text = f"Yes, gladly.\n\n{reply_quotation('Lunch?', sender, sent_at, words)}"
    split = split_history(text)
    assert split.written == "Yes, gladly."
    assert split.history == text.removeprefix("Yes, gladly.\n\n")
    assert preview(text) == "Yes, gladly."


@every_language
def test_a_reply_whose_quotation_marks_got_lost_is_folded_too(words: Language):
    text = f"Yes.\n\n{words.attribution(CAROL, THEN)}\nLunch?\n"
    assert split_history(text).written == "Yes."


def head_of(words: Language) -> str:
    names = words.fields
    return (
        f"{words.forwarded}\n{names.from_}: Carol <carol@example.org>\n{names.date}: {words.moment(THEN)}\n"
        f"{names.subject}: Lunch\n{names.to}: bob@example.org\n{names.cc}: dave@example.org\n\nOn Thursday?\n"
    )


@every_language
def test_a_message_that_was_passed_on_is_folded_below_what_was_said_about_it(words: Language):
    split = split_history(f"For you.\n\n{head_of(words)}")
    assert split.written == "For you."
    assert split.history == head_of(words)
    assert preview(f"For you.\n\n{head_of(words)}") == "For you."


@every_language
def test_its_header_alone_is_known_as_one(words: Language):
    header = head_of(words).partition("\n")[2]
    assert split_history(f"For you.\n\n{header}").written == "For you."


@every_language
def test_a_message_passed_on_without_a_word_is_shown_whole(words: Language):
    assert split_history(head_of(words)).history == ""
    assert "On Thursday?" in preview(head_of(words))


def test_the_choices_name_each_language_for_its_speakers_and_for_colleagues():
    offered = choices()
    assert offered[0] == ("en", "English")
    assert ("de", "German (Deutsch)") in offered
    assert {tag for tag, _ in offered} == set(LANGUAGES)


def draft(tag: str) -> OutgoingMessage:
    return OutgoingMessage(CAROL, (CAROL,), "Lunch", "Hallo", "one@example.org", THEN, language=tag)


@pytest.mark.proves("E8")
def test_the_language_stands_in_the_header():
    assert message_from_bytes(build_message(draft("pt-BR")))["Content-Language"] == "pt-BR"
    assert "Content-Language" not in message_from_bytes(build_message(draft("")))


@pytest.mark.proves("T4")
@pytest.mark.parametrize("tag", ["de\r\nBcc: x@example.org", "de fr", "Deutsch!", "ä", "\n"])
def test_what_is_no_language_is_not_written(tag: str):
    with pytest.raises(UnwritableField):
        build_message(draft(tag))
