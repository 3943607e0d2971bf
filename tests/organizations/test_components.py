"""Components escape what they are given; templates keep the rules that make it so."""

import re
from pathlib import Path

import pytest
from django.template import Context, Template
from django_cotton.compiler_regex import CottonCompiler, Tag

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted([*ROOT.glob("templates/**/*.html"), *(ROOT / "tests" / "organizations").glob("*.html")])
COMPONENTS = ROOT / "templates" / "components"
HOSTILE = "\"><script>alert('x')</script>&amp;"


def draw(source: str, **context: object) -> str:
    return Template(CottonCompiler().process(source)).render(Context(context))


@pytest.mark.parametrize(
    "source",
    [
        '<c-card title="{{ text }}" sub="{{ text }}" id="{{ text }}" data-x="{{ text }}">{{ text }}</c-card>',
        '<c-button href="{{ text }}" hx-get="{{ text }}">{{ text }}</c-button>',
        '<c-icon-button icon="x" label="{{ text }}" />',
        '<c-note title="{{ text }}">{{ text }}</c-note>',
        '<c-stat label="{{ text }}" value="{{ text }}" note="{{ text }}" href="{{ text }}" />',
        '<c-step name="{{ text }}" status="failed" detail="{{ text }}" :ms="3" />',
        '<c-progress label="{{ text }}" :value="1" :max="2" />',
        '<c-logo name="{{ text }}" />',
        '<c-page-head title="{{ text }}" text="{{ text }}" />',
        '<c-dialog.header title="{{ text }}" />',
    ],
)
def test_text_from_outside_is_escaped_exactly_once(source):
    drawn = draw(source, text=HOSTILE)
    assert "<script>" not in drawn
    assert "&amp;amp;amp;" not in drawn
    if "logo" not in source:
        assert "&quot;&gt;&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&amp;amp;" in drawn


def without_comments(source: str) -> str:
    return re.sub(r"{% comment %}.*?{% endcomment %}|{#.*?#}", "", source, flags=re.DOTALL)


def declared(component: str) -> set[str]:
    source = (COMPONENTS / (component.replace(".", "/").replace("-", "_") + ".html")).read_text(encoding="utf-8")
    names = re.search(r"<c-vars\s([^>]*?)/>", without_comments(source))
    return set(re.findall(r":?([\w-]+)=", names.group(1))) if names else set()


def bound_attributes() -> list[tuple[str, str, str]]:
    found = []
    for file in TEMPLATES:
        for match in Tag.tag_pattern.finditer(without_comments(file.read_text(encoding="utf-8"))):
            tag = Tag(match)
            if tag.tag_name in ("c-vars", "c-slot"):
                continue
            for key, *_ in Tag.attr_pattern.findall(tag.attrs):
                if key.startswith(":"):
                    found.append((str(file.relative_to(ROOT)), tag.tag_name[2:], key[1:]))
    return found


def test_objects_are_bound_to_declared_attributes_only():
    """cotton writes a bound attribute that it passes on without escaping it."""
    assert bound_attributes()
    assert [use for use in bound_attributes() if use[2] not in declared(use[1])] == []


def test_no_template_carries_inline_styles_or_handlers():
    refused = re.compile(r"""\s(?:style|on[a-z]+)\s*=\s*["']|<style|<script(?![^>]*\ssrc=)|javascript:|hx-on""")
    offenders = {
        str(file.relative_to(ROOT)): match.group()
        for file in TEMPLATES
        if (match := refused.search(without_comments(file.read_text(encoding="utf-8"))))
    }
    assert offenders == {}


def test_every_component_says_how_to_use_it():
    mute = [
        str(file)
        for file in COMPONENTS.rglob("*.html")
        if not file.read_text(encoding="utf-8").startswith("{% comment %}")
    ]
    assert mute == []
