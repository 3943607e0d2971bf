"""Cleaning of HTML: nothing runs, nothing is fetched, links lead where they say (threats T9 to T12, T17)."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstore.links import with_links
from mailstore.rendering import TALLEST, clean, likely_height, link
from tests.effort import done_within
from tests.mailstore.panel.payloads import BEACONS, FETCHING_STYLES, RUNNING

HARMLESS = ("http", "https", "mailto", "tel")


def no_image(cid: str) -> None:
    return None


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


def dangers(html: str) -> list[str]:
    """What is left in cleaned HTML that could run or fetch."""
    seen = Reader(html)
    bad = [
        f"<{tag}>" for tag in seen.tags & {"script", "style", "svg", "math", "iframe", "object", "form", "meta", "link"}
    ]
    for tag, name, value in seen.attributes:
        if name.startswith("on") or name in {"srcset", "background", "poster", "action", "formaction", "srcdoc", "id"}:
            bad.append(f"{name}={value}")
        if name == "src" and not value.startswith("data:image/"):
            bad.append(f"src={value}")
        if name == "href" and urlsplit(value).scheme not in HARMLESS:
            bad.append(f"href={value}")
        if name == "style" and re.search(r"url|import|expression|image|src\(|position|\\|@", value, re.IGNORECASE):
            bad.append(f"style={value}")
        if tag == "a" and name == "target" and value != "_blank":
            bad.append(f"target={value}")
    return bad


@pytest.mark.proves("H2", "T9")
@pytest.mark.parametrize("payload", RUNNING)
def test_nothing_that_could_run_is_left(payload):
    assert dangers(clean(payload, no_image).html) == []


@pytest.mark.proves("T10")
@pytest.mark.parametrize("style", FETCHING_STYLES)
def test_no_style_fetches_or_leaves_the_frame(style):
    html = f'<p style="{style}">x</p><style>p {{ {style} }}</style>'
    assert dangers(clean(html, no_image).html) == []


@pytest.mark.proves("T11")
@pytest.mark.parametrize("beacon", BEACONS)
def test_no_beacon_is_left(beacon):
    cleaned = clean(beacon, no_image)
    assert dangers(cleaned.html) == []
    assert "beacon.example" not in re.sub(r'href="[^"]*"', "", cleaned.html)


@pytest.mark.proves("T9")
@given(st.text(alphabet="<>/'\"= abcdefonscriptsvgmathstyle!-[]&;:\x00\u2028", max_size=300))
def test_nothing_that_could_run_is_left_of_anything(html):
    assert dangers(clean(html, no_image).html) == []


@pytest.mark.proves("H2")
def test_images_that_were_left_out_are_counted_by_place():
    remote = clean(
        '<img src="https://a.example/1"><img src="//a.example/2"><img src="HTTP://b.example/3">'
        '<td background="http://c.example/4"></td><table background="http://c.example/4"></table>'
        '<p style="background: url(\'https://d.example/5\')">x</p><img src="relative.png">',
        no_image,
    ).remote
    assert remote.hosts == {"a.example": 2, "b.example": 1, "c.example": 1, "d.example": 1}
    assert (remote.total, remote.from_where) == (5, "a.example and 3 other places")


@pytest.mark.proves("T12")
def test_an_image_within_the_message_gets_the_address_it_is_given():
    asked: list[str] = []

    def address(cid: str) -> str | None:
        asked.append(cid)
        return "/mail/inline/token" if cid == "a b@example.com" else None

    html = clean('<img src="cid:a%20b@example.com"><img src=" CID:other">', address).html
    assert asked == ["a b@example.com", "other"]
    assert html == '<img src="/mail/inline/token"><img>'


@pytest.mark.proves("T12")
@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/pdf", "image/png;charset=x,"])
def test_only_picture_data_stands_in_an_address(kind):
    assert clean(f'<img src="data:{kind};base64,AAAA">', no_image).html == "<img>"
    assert "data:image/png" in clean('<img src="data:image/png;base64,AAAA">', no_image).html


@pytest.mark.proves("T17")
@pytest.mark.parametrize(
    "address",
    [
        *("javascript:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)", "java\nscript:alert(1)"),
        *("\u2028javascript:alert(1)", "\u2029javascript:alert(1)", "\xa0javascript:alert(1)", "\x00javascript:x"),
        *("\x01javascript:alert(1)", "\u200bjavascript:alert(1)", "\ufeffjavascript:alert(1)", "jAvAsCrIpT:alert(1)"),
        *("data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:x", "about:blank", "//example.com", "/account"),
        *("ht tp://example.com", "ftp://example.com", "intent://x", "view-source:http://x", "", "#x", "https"),
        *("\u3000javascript:alert(1)", "\u180ejavascript:alert(1)", "\x85javascript:alert(1)", "feed:javascript:x"),
    ],
)
def test_only_four_schemes_may_be_followed(address):
    assert link(address) is None


@pytest.mark.proves("T17")
@pytest.mark.parametrize(
    ("address", "followed"),
    [
        ("https://example.com/a?b=c#d", "https://example.com/a?b=c#d"),
        (" \u2028HTTPS://example.com ", "HTTPS://example.com"),
        ("https://example.com/a b", "https://example.com/a%20b"),
        ("htt\tps://example.com", "https://example.com"),
        ("mailto:carol@example.com", "mailto:carol@example.com"),
        ("tel:+4912345", "tel:+4912345"),
    ],
)
def test_what_is_skipped_over_is_removed_from_a_link(address, followed):
    assert link(address) == followed


@pytest.mark.proves("T17")
def test_links_open_elsewhere_and_tell_nothing():
    html = clean('<a href="https://example.com" target="_top" rel="opener">x</a>', no_image).html
    assert 'target="_blank"' in html
    assert 'rel="noopener noreferrer"' in html
    assert "_top" not in html


def test_what_makes_a_mail_readable_stays():
    style = "padding:4px;color:red;background:#0b6b5d"
    html = f'<table width="600"><tr><td bgcolor="#eee" style="{style}"><b>Hello</b><br></td></tr></table>'
    cleaned = clean(html, no_image).html
    for kept in ('width="600"', 'bgcolor="#eee"', style, "<b>Hello</b>"):
        assert kept in cleaned


def test_the_guess_of_a_height_stays_within_bounds():
    assert 80 <= likely_height("") < likely_height("<p>word</p>" * 20) < likely_height("<p>word</p>" * 60) <= TALLEST
    assert likely_height("<p>x</p>" * 10_000) == TALLEST


DEEP = [
    "<div>" * 50_000,
    "<div></span>" * 50_000,
    '<div title="</div>">' * 30_000,
    "<div title='></div>'>" * 30_000,
    "<div><!--</div>-->" * 30_000,
    "<div><style></div></style>" * 30_000,
]


@pytest.mark.proves("T9")
@pytest.mark.parametrize("html", DEEP)
def test_absurdly_deep_html_is_shown_as_text(html):
    cleaned = clean(f"{html}<b>words</b>", no_image).html
    assert cleaned.startswith('<div style="white-space: pre-wrap">')
    assert dangers(cleaned) == []


def test_long_threads_and_large_tables_are_not_absurdly_deep():
    thread = "<div><blockquote>one" * 300 + "</blockquote></div>" * 300
    table = "<table><tr><td><b>1</b><td>2" * 1 + '<tr><td><span title="it\'s">x</span><p>y<p>z' * 5_000 + "</table>"
    for html in (thread, table, "<p>x<br>" * 10_000, "<!--[if mso]><table><tr><td><![endif]--><div>x</div>" * 200):
        assert "white-space: pre-wrap" not in clean(html, no_image).html


@pytest.mark.proves("T9")
def test_large_mails_are_prepared_in_time():
    def prepare() -> None:
        for html in (*DEEP, "<" * 200_000, "<p style='" + "a:url(" * 30_000 + "'>", "<table><tr>" * 5_000):
            likely_height(clean(html, no_image).html)
        with_links("http://" + ")" * 200_000)
        with_links("http://a" * 50_000)

    done_within(10, prepare)


# --- Plain text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("See https://example.com/a.", ["https://example.com/a"]),
        ("(https://example.com/a_(b))", ["https://example.com/a_(b)"]),
        ("<https://example.com/?a=1&b=2>", ["https://example.com/?a=1&amp;b=2"]),
        ("www.example.com, and HTTP://x.example!", ["https://www.example.com", "HTTP://x.example"]),
        ("mailto:carol@example.com", ["mailto:carol@example.com"]),
        ("https://example.com/\u202eexe.txt", ["https://example.com/"]),
        ("javascript:alert(1) foo@www.example.com example.com http:// www.", []),
    ],
)
def test_addresses_in_text_become_links(text, links):
    assert re.findall(r'href="([^"]*)"', with_links(text)) == links


@pytest.mark.proves("T9")
@given(st.text())
def test_text_stays_text(text):
    html = with_links(text)
    assert Reader(html).tags <= {"a"}
    shown = re.sub(r"</?a\b[^>]*>", "", html)
    assert not set("<>\"'") & set(shown)


def test_the_watch_of_these_tests_sees_what_is_dangerous():
    for html in ("<script>", "<img src=x>", "<p onclick=x>", "<a href='javascript:x'>", "<p style='position:fixed'>"):
        assert dangers(html) != []
