"""The workspace shows accounts, so its tests use what theirs use."""

from tests.accounts.conftest import reach_loopback, rules, running_sandbox, sandbox

__all__ = ["reach_loopback", "rules", "running_sandbox", "sandbox"]
