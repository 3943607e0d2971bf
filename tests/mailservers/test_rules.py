from __future__ import annotations

from pathlib import Path

import pytest

from mailservers import patterns
from mailservers.models import DiagnosisRule
from mailservers.rulebook import load_rules, read_rules
from providers.catalog_files import CatalogError

GOOD = (
    "- code: one\n  title: It broke.\n  pattern: broke\n  retry: stop\n"
    "  causes:\n    - {cause: So., cure: Do., who: user}\n"
)


@pytest.mark.proves("D2")
def test_the_rules_are_valid_and_loading_twice_costs_one_query(db, django_assert_num_queries):
    assert load_rules() is True
    assert DiagnosisRule.objects.count() == len(read_rules()) > 80
    with django_assert_num_queries(1):
        assert load_rules() is False


def test_a_cure_leaves_it_to_the_page_to_say_that_there_is_nothing_to_do():
    """The log says so beside every cause that passes by itself; saying it twice sounds like a machine."""
    causes = [cause for rule in read_rules() for cause in rule["causes"]]
    assert {"wait", "user"} <= {cause["who"] for cause in causes}
    assert not [cause["cure"] for cause in causes if "nothing to do" in cause["cure"].lower()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("retry: stop", "retry: maybe"), "'maybe'"),
        (GOOD.replace("who: user", "who: nobody"), "cause 1.*'nobody'"),
        (GOOD.replace("pattern: broke", "pattern: a.*b"), "without a limit"),
        (GOOD.replace("pattern: broke", "pattern: ("), "not a regular expression"),
        (GOOD.replace("pattern: broke", "providers: [nowhere]"), "nowhere"),
        (GOOD.replace("cure: Do.", "cure: Do., link: 'javascript:x'"), "https"),
        (GOOD.replace("pattern: broke", "step: dance"), "'dance'"),
        (GOOD + GOOD, "stands already"),
    ],
)
def test_a_wrong_rule_is_named_with_its_file(tmp_path: Path, text: str, words: str):
    (tmp_path / "some.yaml").write_text(text)
    with pytest.raises(CatalogError, match=rf"some\.yaml.*{words}"):
        read_rules(tmp_path)


def test_loading_leaves_an_organizations_own_rules_alone(db, organization):
    own = DiagnosisRule.objects.create(organization=organization, code="login-refused", title="Ours.")
    load_rules()
    assert DiagnosisRule.objects.filter(pk=own.pk).exists()


@pytest.mark.parametrize(
    "pattern",
    [r"(a+)+$", r".*x", r"a{2,}", r"(a{0,90}b{0,90}c{0,90})", r"(x{0,9}){0,9}", r"(?=a)b", r"(a)\1", r"(?<!a)b"],
)
def test_a_pattern_that_could_run_for_ever_is_refused(pattern: str):
    assert patterns.problem_of(pattern)
    assert patterns.search(pattern, "a" * 40) is None


@pytest.mark.parametrize(
    "pattern", [r"\bapp\+?", r"[*+]", r"a\*b", r"daily.{0,40}quota", r"5\.7\.1\b", r"(?P<link>https)"]
)
def test_a_bounded_pattern_is_taken(pattern: str):
    assert patterns.problem_of(pattern) == ""


def test_only_the_beginning_of_a_long_reply_is_searched():
    assert patterns.search("needle", "NEEDLE in front")
    assert patterns.search("needle", "x" * 1000 + "needle") is None
