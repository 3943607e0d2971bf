"""The files of the project as git would commit them, and what they are for."""

from __future__ import annotations

import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from tests.environment import ROOT

CODE = {".py", ".js", ".css", ".html", ".toml", ".yml", ".yaml", ".json", ".sh", ""}


@cache
def files() -> list[Path]:
    """Every file that is committed or would be, relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(path for name in listing.split("\0") if name and (ROOT / (path := Path(name))).is_file())


def python_files() -> list[Path]:
    return [path for path in files() if path.suffix == ".py"]


def text_of(path: Path) -> str:
    """The text of a file; empty for one that is no text."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def pyproject() -> dict[str, Any]:
    return tomllib.loads(text_of(Path("pyproject.toml")))
