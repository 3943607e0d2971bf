"""Quoted history: found in a body to fold it away, and written into a reply. Every pattern works line by line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from protocols.message.addresses import Address
from protocols.message.languages import DEFAULT, LANGUAGES, Language

_LONGEST_LINE = 400
_HEADER_LINES = 8
_WROTE = re.compile(
    r"\b(?:wrote|writes|schrieb|a écrit|escribió|ha scritto|scrisse|schreef|escreveu|skrev|napisał\(?a?\)?|kirjoitti"
    r"|пишет|пише|написала?|написав|napsala?|napísala?|írta|a scris|yazdı|έγραψε|je napisala?o?)\b[^:]{0,80}:\s*$"
    r"|写道\s*[:：]\s*$|のメール\s*[:：]\s*$|님이 작성\s*[:：]\s*$",
    re.IGNORECASE,
)
# Those that we write ourselves, whatever the name in them looks like.
_OUR_ATTRIBUTION = re.compile("|".join(each.attribution_pattern() for each in LANGUAGES.values()))
_ATTRIBUTION_START = re.compile(
    r"(?:on|am|le|el|il|op|em|a|den|dnia|w dniu|dne|dňa|în|в|на|στις|pe)\s|\d{1,4}[-/.年]", re.IGNORECASE
)
_FORWARDED = "|".join(re.escape(each.forwarded.strip("- ")) for each in LANGUAGES.values())
_ORIGINAL = re.compile(
    rf"\s*[-_]{{3,40}}\s*(?:{_FORWARDED}|original message|ursprüngliche nachricht|message d'origine|message original"
    r"|mensaje original|messaggio originale|oorspronkelijk bericht|mensagem original|oprindelig meddelelse"
    r"|ursprungligt meddelande|opprinnelig melding|wiadomość oryginalna|исходное сообщение|původní zpráva"
    r"|原始邮件|원본 메시지|元のメッセージ)\s*[-_]{0,40}\s*$",
    re.IGNORECASE,
)
_OUR_FIELDS = "|".join(sorted({re.escape(name) for each in LANGUAGES.values() for name in each.fields}))
_HEADER_LINE = re.compile(
    rf"\s{{0,8}}\*{{0,2}}({_OUR_FIELDS}|from|von|de|da|van|fra|från|od|от|发件人|寄件者|差出人|보낸 사람"
    r"|sent|date|gesendet|datum|envoyé|enviado|fecha|data|inviato|verzonden|dato|sendt|skickat|wysłano|отправлено|дата"
    r"|发送时间|日期|送信日時|to|an|à|para|a|aan|til|till|do|komu|кому|收件人|宛先"
    r"|cc|kopie|subject|betreff|objet|asunto|oggetto|onderwerp|assunto|emne|ämne|temat|тема|主题|主旨|件名)"
    r"\*{0,2}\s{0,2}[:：]",
    re.IGNORECASE,
)
_SENDER_WORDS = frozenset(
    ("from", "von", "de", "da", "van", "fra", "från", "od", "от", "发件人", "寄件者", "差出人", "보낸 사람")
) | {each.fields.from_.lower() for each in LANGUAGES.values()}
_RULE = re.compile(r"\s*+[-_=*~]{5,}+\s*+")
_RULE_MARKS = frozenset("-_=*~")  # what a rule begins with, and the line above an original message
_MARKED_LINE = re.compile(r"^[^\S\n]*+[-_=*~]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SplitText:
    """A plain text body in two: what its author wrote, and the older messages below it ("" when there are none)."""

    written: str
    history: str


def split_history(text: str) -> SplitText:
    """Split the trailing history off a body. A quotation the author answers in between stays where it is. Linear."""
    lines = text.split("\n")
    start = _history_start(lines)
    if start is None or not any(line.strip() for line in lines[:start]):
        return SplitText(text, "")
    return SplitText("\n".join(lines[:start]).rstrip(), "\n".join(lines[start:]))


def _history_start(lines: list[str]) -> int | None:
    """Return the index of the first line of the trailing history."""
    last_own = _last_own_line(lines)
    for index, line in enumerate(lines):
        if len(line) > _LONGEST_LINE or not line.strip() or is_quoted(line):
            continue
        if _ORIGINAL.match(line) or _is_header_block(lines, index):
            return index - 1 if index and set(lines[index - 1].strip()) == {"_"} else index
        if _is_attribution(line):
            first_quoted = next((at for at in range(index + 1, len(lines)) if lines[at].strip()), None)
            if first_quoted is None:
                continue
            if is_quoted(lines[first_quoted]):
                if last_own <= index:
                    return _attribution_start(lines, index)
            elif not any(map(is_quoted, lines[index + 1 : index + 200])):
                return _attribution_start(lines, index)  # the quotation marks got lost on the way, as with HTML
    quoted_below = sum(1 for line in lines[last_own + 1 :] if is_quoted(line))
    return last_own + 1 if quoted_below >= 3 else None


def _last_own_line(lines: list[str]) -> int:
    """Return the index of the last line that is neither quoted nor empty nor part of a signature; -1 for none."""
    end = next((index for index, line in enumerate(lines) if line == "-- "), len(lines))
    if any(map(is_quoted, lines[end:])):
        end = len(lines)
    for index in range(end - 1, -1, -1):
        if lines[index].strip() and not is_quoted(lines[index]):
            return index
    return -1


def _attribution_start(lines: list[str], end: int) -> int:
    """Return where an attribution begins that ends at line `end`: it may be folded over up to three lines."""
    for index in range(end, max(-1, end - 3), -1):
        if _ATTRIBUTION_START.match(lines[index].lstrip()):
            return index
        if not lines[index].strip():
            break
    return end


def _is_attribution(line: str) -> bool:
    """Tell whether a line ends an attribution, such as "On Monday, Alice wrote:"."""
    if not line.rstrip().endswith((":", "：")) or len(line) >= _LONGEST_LINE:
        return False
    return _WROTE.search(line) is not None or _OUR_ATTRIBUTION.match(line.strip()) is not None


def _is_header_block(lines: list[str], index: int) -> bool:
    """Tell whether a copied header (From, Sent, To, Subject in some language) begins at this line."""
    line = lines[index]
    if ":" not in line and "：" not in line:  # most lines: the pattern with its many words is not worth trying
        return False
    first = _HEADER_LINE.match(line)
    if first is None or first.group(1).lower() not in _SENDER_WORDS:
        return False
    return sum(1 for line in lines[index : index + _HEADER_LINES] if _HEADER_LINE.match(line[:40])) >= 3


def is_quoted(line: str) -> bool:
    """Tell whether a line is a quotation."""
    return line.startswith((">", " >", "  >"))


def preview(text: str, length: int = 200, *, window: int = 4096) -> str:
    """Return the beginning of what the author wrote on one line, without quotations and signature."""
    line_end = text.find("\n", 2 * length, window)
    beginning = text[: line_end if line_end >= 0 else window]
    if _is_all_own(beginning):
        words = " ".join(beginning.split())
        if len(words) > length or len(beginning) == len(text):
            return _cut(words, length)
    return _cut(_own_words(text[:window], length), length)


def _is_all_own(text: str) -> bool:
    """Tell of most texts that they hold no quotation, rule, signature, attribution or copied header."""
    if ":" in text or "：" in text or ">" in text:
        return False
    return not any(map(text.__contains__, _RULE_MARKS)) or not _MARKED_LINE.search(text)


def _cut(words: str, length: int) -> str:
    return words if len(words) <= length else words[:length].rpartition(" ")[0][:length].rstrip() + "…"


def _own_words(text: str, length: int) -> str:
    """Return what the author wrote in `text`, on one line; at least `length` characters where there are as many."""
    lines = text.split("\n")
    own: list[str] = []
    size = 0
    for index, line in enumerate(lines):
        first = line.lstrip()[:1]
        if is_quoted(line) or (first in _RULE_MARKS and _RULE.fullmatch(line)):
            continue
        if first in _RULE_MARKS and (line.rstrip() == "--" or _ORIGINAL.match(line)):
            if own:
                break
            continue
        if own and _is_header_block(lines, index):
            break
        if _is_attribution(line):
            del own[len(own) - (index - _attribution_start(lines, index)) :]
            if own and not any(map(is_quoted, lines[index + 1 : index + 4])):
                break  # the quotation marks got lost on the way, as with HTML
            continue
        own.append(line)
        size += len(line)
        if size > 2 * length:
            break
    return " ".join(" ".join(own).split()) or " ".join(text.split())


def quote(text: str) -> str:
    """Prefix every line with "> ", or ">" where it is a quotation already (RFC 3676, 4.5)."""
    lines = text.rstrip("\n").split("\n")
    return "\n".join(">" + line if line.startswith(">") or not line else "> " + line for line in lines)


def reply_quotation(
    text: str, sender: Address | None, sent_at: datetime | None, words: Language = LANGUAGES[DEFAULT]
) -> str:
    """Return what stands below a reply: the attribution in the language of `words`, then the quoted text.

    sent_at: shown in its own time zone; convert it to the writer's before.
    """
    return f"{words.attribution(sender, sent_at)}\n{quote(text)}\n"
