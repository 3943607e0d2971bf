"""What no file of the project may be called or contain."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.architecture.tree import CODE, files, python_files, text_of

NO_NAMES = {"utils", "util", "helpers", "helper", "common", "services", "service", "core", "base", "misc", "lib"}
LONGEST_FILE = 500  # lines
LONGEST_FUNCTION = 80  # lines

#: Written in pieces, or this file would be the first finding.
HOSTS = [".".join(parts) for parts in (
    ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("debian", "org/debian"),
)]  # fmt: skip
MACHINE_PATHS = re.compile(r"(?<![\w./-])/(?:" + "work|root|opt/wheels|home/[a-z]\\w*)" + r"/\w")
UNFINISHED = re.compile(r"\b(?:TO" + "DO|FIX" + r"ME|XX" + r"X)\b")
SWITCHED_OFF = re.compile(r"mark\." + r"(?:skip|skipif|xfail)\b|pytest\." + r"(?:skip|xfail|importorskip)\(")


def test_every_file_is_named_after_its_subject():
    folders = {parent for path in python_files() for parent in path.parents}
    nameless = [str(path) for path in [*python_files(), *folders] if path.stem in NO_NAMES]
    assert not nameless


def test_no_file_is_so_long_that_it_has_two_subjects():
    lines = {str(path): text_of(path).count("\n") for path in files() if path.suffix in {".py", ".js"}}
    assert not {name: count for name, count in lines.items() if count > LONGEST_FILE and "migrations" not in name}


def test_no_function_is_so_long_that_nobody_reads_it():
    long = []
    for path in python_files():
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                if count > LONGEST_FUNCTION:
                    long.append(f"{path}:{node.lineno} {node.name} has {count} lines")
    assert not long


def test_no_file_names_a_package_registry():
    assert not _matching(lambda text: next((host for host in HOSTS if host in text), None), every_file=True)


def test_no_file_names_a_path_of_the_machine_it_was_written_on():
    assert not _matching(_first(MACHINE_PATHS), every_file=True)


def test_nothing_is_left_to_be_done_later():
    assert not _matching(_first(UNFINISHED))


def test_no_test_is_switched_off():
    """`tests/servers` may skip for a server that is not installed; in CI that is a failure."""
    found = _matching(_first(SWITCHED_OFF))
    assert not [line for line in found if not line.startswith("tests/servers/")]


def test_no_third_party_asset_is_committed():
    assert not [str(path) for path in files() if ".min." in path.name or "vendor" in path.parts]


def _first(pattern: re.Pattern[str]):
    def find(text: str) -> str | None:
        match = pattern.search(text)
        return match.group() if match else None

    return find


def _matching(find, *, every_file: bool = False) -> list[str]:
    found = []
    for path in files():
        if not every_file and path.suffix not in CODE:
            continue
        if path.is_relative_to(Path("tests/samples")):  # other people's mail says what it says
            continue
        for number, line in enumerate(text_of(path).splitlines(), start=1):
            if hit := find(line):
                found.append(f"{path}:{number}: {hit}")
    return found
