"""The plain text beside HTML: links, lists, quotations and tables are still there, and no input takes long."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.message.alternative import readable_text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        (
            'See <a href="https://example.org/a?b=1&amp;c">the offer</a>.',
            "See the offer <https://example.org/a?b=1&c>.",
        ),
        ('<a href="https://example.org/">example.org</a>', "example.org"),
        ('<a href="https://example.org/">https://example.org</a>', "https://example.org"),
        ('<a href="mailto:bob@example.org">bob@example.org</a>', "bob@example.org"),
        ('<a href="mailto:bob@example.org">Bob</a>', "Bob <bob@example.org>"),
        ('<a href="https://example.org"><img src="cid:x" alt="Logo"></a>', "[Logo] <https://example.org>"),
        ("<p>One</p><p>Two<br>Three</p>", "One\n\nTwo\nThree"),
        ('<p style="margin: 0px">One</p>', "One"),
        ("<div>One</div><div>Two</div>", "One\nTwo"),
        ("<ul><li>One</li><li><p>Two</p></li></ul>", "- One\n- Two"),
        ('<ol start="3"><li>Three</li><li>Four</li></ol>', "3. Three\n4. Four"),
        ("<ul><li>One<ul><li>Deep</li></ul></li><li>Two</li></ul>", "- One\n  - Deep\n- Two"),
        (
            "<p>Intro</p><blockquote><p>One</p><blockquote>Deep</blockquote>Two</blockquote><p>End</p>",
            "Intro\n\n> One\n>\n> > Deep\n>\n> Two\n\nEnd",
        ),
        (
            "<table><tr><th>Item</th><th>Price</th></tr><tr><td><p>Boat</p></td><td>5</td></tr></table>",
            "Item | Price\nBoat | 5",
        ),
        ("<pre>a\n  b\n\nc</pre>", "a\n  b\n\nc"),
        ("<p>One</p><hr><p>Two</p>", f"One\n\n{'-' * 40}\n\nTwo"),
        ("<style>p { color: red }</style><p>One &lt; two &amp;&nbsp;three</p><!-- no -->", "One < two & three"),
        ("<p>  Much   \n space </p>", "Much space"),
        ("", ""),
    ],
)
def test_what_people_read_without_html(markup, text):
    assert readable_text(markup) == text


@given(st.text(alphabet="<>/abltdiruoq &;#x=\"'-\n h1pre", max_size=200))
def test_it_never_raises(markup):
    assert isinstance(readable_text(markup), str)


@pytest.mark.parametrize(
    "piece",
    [
        *("<p>", "<a href='x'>", "<", "<a ", "<blockquote>", "<ul>", "<td>x", "<br>", "&#", '<a href="#', "<b>x</b>"),
        *("<a href=x>b<br>", "<pre>", "<li>", "<tr>", "<!--", "<style>", "</ul>"),
    ],
)
def test_it_takes_time_with_the_length_and_no_more(piece):
    began = process_time()
    readable_text(piece * (200_000 // len(piece)))
    assert process_time() - began < 2
