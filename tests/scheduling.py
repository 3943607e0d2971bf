"""Which worker runs which test: any of them any test, but what shares something costly belongs to one.

That are all steps of a walk (tests/walks/conftest.py), and what is asked of a whole production.

What `--dist loadgroup` is for; xdist 3.8 does not group under pytest 9.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

WALKS = "tests/walks/"
TOGETHER = {"tests/production/test_compose.py"}


class WalksTogether(LoadScopeScheduling):
    """Hands out single tests; walks and files of `TOGETHER` as a whole."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        config.option.loadscopereorder = False  # the order is chosen in tests/selection.py: a browser comes last
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        file, _, name = nodeid.partition("::")
        is_step = file.startswith(WALKS) and name.endswith("]")  # its last parameter is the browser
        return file if is_step or file in TOGETHER else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> WalksTogether:
    return WalksTogether(config, log)
