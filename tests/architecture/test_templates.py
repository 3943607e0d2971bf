"""Templates compile, and nothing in them needs a hole in the content security policy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.template.loader import get_template

from tests.architecture.tree import files, text_of

TEMPLATES = [path for path in files() if path.parts[0] == "templates" and path.suffix in {".html", ".txt"}]
COMMENT = re.compile(r"{#.*?#}|{% comment %}.*?{% endcomment %}", re.DOTALL)
SCRIPT = re.compile(r"<script\b(?P<attributes>[^>]*)>(?P<body>.*?)</script>", re.DOTALL | re.IGNORECASE)
INLINE = {
    "a style attribute": re.compile(r"<[^>]*\sstyle\s*=", re.IGNORECASE),
    "a style element": re.compile(r"<style\b", re.IGNORECASE),
    "an event attribute": re.compile(r"<[^>]*\son[a-z]+\s*=", re.IGNORECASE),
    "script in htmx attributes": re.compile(r"hx-on[:=]|hx-vals\s*=\s*[\"']js:|hx-vars", re.IGNORECASE),
    "a javascript: link": re.compile(r"javascript:", re.IGNORECASE),
}


def markup(path: Path) -> str:
    return COMMENT.sub("", text_of(path))


@pytest.mark.parametrize("path", TEMPLATES, ids=str)
def test_it_compiles(path):
    get_template(str(path.relative_to("templates")))


@pytest.mark.parametrize("path", TEMPLATES, ids=str)
def test_it_carries_no_inline_style_and_no_inline_script(path):
    text = markup(path)
    assert not [what for what, pattern in INLINE.items() if pattern.search(text)]
    for script in SCRIPT.finditer(text):
        attributes = script["attributes"]
        if "src=" in attributes:
            assert not script["body"].strip(), "a script has a source or a body"
        else:
            assert re.search(r"type=\"(application/json|importmap)\"", attributes), "an inline script"
            assert "json" in attributes or "nonce=" in attributes, "an import map needs the nonce"
