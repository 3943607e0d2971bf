"""One message opened for reading: which part is the text, which an attachment, and under which name."""

from __future__ import annotations

import pytest

from protocols.message.content import iter_parts, open_message, part_bytes, safe_filename

PNG = b"\x89PNG\r\n"


def part(head: str, body: str = "x") -> str:
    return f"--b\n{head}\n\n{body}\n"


def message(*parts: str, kind: str = "mixed") -> bytes:
    return f"From: a@example.org\nContent-Type: multipart/{kind}; boundary=b\n\n{''.join(parts)}--b--\n".encode()


IMAGE = "Content-Type: image/png; name=logo.png\nContent-ID: <logo@x>\nContent-Disposition: inline"


def test_a_plain_message_has_a_text_and_nothing_else():
    content = open_message(b"Subject: Hi\n\nHello\n")
    assert (content.html, content.text, content.attachments) == (None, "Hello\n", ())
    assert [each.path for each in content.parts] == ["1"]


def test_an_alternative_gives_both_forms():
    raw = message(
        part("Content-Type: text/plain", "plain"), part("Content-Type: text/html", "<p>rich"), kind="alternative"
    )
    content = open_message(raw)
    assert (content.html, content.text, content.attachments) == ("<p>rich", "plain", ())


def test_html_alone_is_told_as_text_too():
    content = open_message(b"Content-Type: text/html\n\n<p>Hello<br>Bob</p>")
    assert content.text == "Hello\nBob"


def test_an_image_that_the_html_shows_is_no_attachment():
    raw = message(part("Content-Type: text/html", '<img src="CID:logo%40x">'), part(IMAGE), kind="related")
    content = open_message(raw)
    assert content.attachments == ()
    assert content.inline["logo@x"].path == "2"


@pytest.mark.proves("T12")
@pytest.mark.parametrize(
    ("head", "markup"),
    [
        (IMAGE, "<p>no image here"),
        (IMAGE, '<img src="cid:other@x">'),
        (IMAGE.replace("image/png", "image/svg+xml"), '<img src="cid:logo@x">'),
        (IMAGE.replace("image/png", "text/html"), '<iframe src="cid:logo@x">'),
        (IMAGE.replace("image/png", "application/pdf"), '<embed src="cid:logo@x">'),
        (IMAGE.replace("image/png", "IMAGE/SVG+XML"), '<img src="cid:logo@x">'),
        (IMAGE.replace("<logo@x>", ""), '<img src="cid:">'),
    ],
)
def test_anything_else_is_listed_as_an_attachment(head: str, markup: str):
    content = open_message(message(part("Content-Type: text/html", markup), part(head), kind="related"))
    assert content.inline == {}
    assert [each.path for each in content.attachments] == ["2"]
    assert content.html == markup


@pytest.mark.proves("T12")
def test_an_attached_page_is_never_the_body():
    raw = message(
        part("Content-Type: text/plain", "Hi"), part("Content-Type: text/html\nContent-Disposition: attachment")
    )
    content = open_message(raw)
    assert content.html is None
    assert [each.content_type for each in content.attachments] == ["text/html"]


@pytest.mark.proves("T12")
def test_of_two_images_with_one_content_id_the_first_is_shown():
    raw = message(part("Content-Type: text/html", "<img src=cid:logo@x>"), part(IMAGE), part(IMAGE), kind="related")
    content = open_message(raw)
    assert content.inline["logo@x"].path == "2"
    assert [each.path for each in content.attachments] == ["3"]


def test_an_attached_message_is_one_part():
    inner = "From: c@example.org\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nsecret\n--c--"
    raw = message(part("Content-Type: text/plain", "See below"), part("Content-Type: message/rfc822", inner))
    content = open_message(raw)
    assert [each.content_type for each in content.attachments] == ["message/rfc822"]
    assert part_bytes(raw, "2").decode() == inner


def test_text_between_images_stays_in_order_around_the_html():
    raw = message(part("Content-Type: text/html", "<p>one"), part("Content-Type: text/plain", "1 < 2"))
    assert open_message(raw).html == '<p>one\n<div style="white-space: pre-wrap">1 &lt; 2</div>'


def test_parts_are_decoded_by_their_path():
    raw = message(part("Content-Type: image/png\nContent-Transfer-Encoding: base64", "iVBORw0K"), part("X: y", "a=3D"))
    assert part_bytes(raw, "1") == PNG
    assert [(each.path, octets) for each, octets in iter_parts(raw)] == [("1", PNG), ("2", b"a=3D")]
    with pytest.raises(KeyError):
        part_bytes(raw, "3")


def test_a_long_body_is_cut_and_says_so():
    content = open_message(b"\n" + b"long " * 1_000_000)
    assert content.truncated
    assert len(content.text or "") == 2 * 1024 * 1024


NAMES = [
    ('filename="a b.pdf"', "a b.pdf"),
    ("filename=a b.pdf", "a b.pdf"),
    ("filename*=utf-8''%C3%BCber.pdf", "über.pdf"),
    ("filename*=iso-8859-1'de'%FCber.pdf", "über.pdf"),
    ("filename*0=long; filename*1=name.pdf", "longname.pdf"),
    ("filename*1=name.pdf; filename*0=long", "longname.pdf"),
    ("filename*0*=utf-8''%C3; filename*1*=%BCber.pdf", "über.pdf"),
    ("filename*0*=utf-8''%C3%BC; filename*1=ber.pdf", "über.pdf"),
    ('filename="=?utf-8?q?=C3=BCber.pdf?="', "über.pdf"),
    ("filename==?utf-8?q?=C3=BCber.pdf?=", "über.pdf"),
    ('filename="=?utf-8?b?w7xi?= =?utf-8?b?ZXIucGRm?="', "über.pdf"),
    ("filename=\"plain.pdf\"; filename*=utf-8''%C3%BCber.pdf", "über.pdf"),
    ('filename="über.pdf"', "über.pdf"),
    ('filename="a\\"b.pdf"', 'a"b.pdf'),
    ('filename="a;b.pdf"', "a;b.pdf"),
    ("filename*=klingon''%FF.pdf", "ÿ.pdf"),
    ("filename*1=b.pdf", "b.pdf"),
    ('filename="unclosed.pdf', "unclosed.pdf"),
    ("filename=", ""),
]


@pytest.mark.parametrize(("parameters", "expected"), NAMES)
def test_a_file_name_is_decoded_however_it_was_written(parameters: str, expected: str):
    raw = message(part(f"Content-Type: application/pdf\nContent-Disposition: attachment; {parameters}"))
    assert open_message(raw).attachments[0].filename == expected


HARMLESS = [
    ("report.pdf", "report.pdf"),
    ("../../etc/passwd", "passwd"),
    ("..\\..\\windows\\system.ini", "system.ini"),
    ("/etc/passwd", "passwd"),
    ("C:\\temp\\a.txt", "a.txt"),
    ("C:a.txt", "C_a.txt"),
    ("a.txt:stream", "a.txt_stream"),
    ("..", "attachment"),
    (".", "attachment"),
    ("", "attachment"),
    ("   ", "attachment"),
    ("/", "attachment"),
    ("a/", "attachment"),
    (".htaccess", "htaccess"),
    ("a.txt.", "a.txt"),
    ("a.txt ", "a.txt"),
    ("a\0.txt", "a.txt"),
    ("a\r\nBcc: x.txt", "aBcc_ x.txt"),
    ("a\tb.txt", "ab.txt"),
    ("\x1b[31mred.txt", "[31mred.txt"),
    ("CON", "_CON"),
    ("con.txt", "_con.txt"),
    ("NUL.tar.gz", "_NUL.tar.gz"),
    ("COM1", "_COM1"),
    ("com¹.txt", "_com¹.txt"),
    ("LPT9.pdf", "_LPT9.pdf"),
    ("aux .txt", "_aux .txt"),
    ("CONTRACT.pdf", "CONTRACT.pdf"),
    ("invoice\u202efdp.exe", "invoicefdp.exe"),
    ("a\u200bb.txt", "ab.txt"),
    ("\u2066a\u2069.txt", "a.txt"),
    ("invoice.pdf" + " " * 80 + ".exe", "invoice.pdf .exe"),
    ('a<b>c"d|e?f*g.txt', "a_b_c_d_e_f_g.txt"),
    ("a\ud800b.txt", "ab.txt"),
    ("u\u0308ber.txt", "über.txt"),
    ("日本語.pdf", "日本語.pdf"),
    ("~/.ssh/id_rsa", "id_rsa"),
    ("%2e%2e%2fpasswd", "%2e%2e%2fpasswd"),
    ("-rf", "-rf"),
    ("a\u2028b.txt", "ab.txt"),
    ("\ufeffa.txt", "a.txt"),
    ("\ue000a.txt", "a.txt"),
    ("??", "attachment"),
    ("...hidden...", "hidden"),
    ("a" * 10_000 + ".pdf", "a" * 176 + ".pdf"),
    ("ü" * 10_000 + ".pdf", "ü" * 88 + ".pdf"),
    ("a." + "x" * 9_000, "a." + "x" * 178),
    ("../" * 4_000 + "a.txt", "a.txt"),
    ("server\\share\\..\\..\\b.doc", "b.doc"),
    ("clock$", "_clock$"),
]


@pytest.mark.proves("T15")
@pytest.mark.parametrize(("name", "expected"), HARMLESS, ids=range(len(HARMLESS)))
def test_a_file_name_is_made_harmless(name: str, expected: str):
    safe = safe_filename(name)
    assert safe == expected
    assert len(safe.encode()) <= 180


def test_a_part_without_a_name_is_called_by_its_type():
    assert safe_filename("", "message/rfc822") == "attachment.eml"
    assert safe_filename("", "application/x-unheard-of") == "attachment"
