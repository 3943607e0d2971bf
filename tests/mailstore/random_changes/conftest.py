"""The account on Dovecot that the tests of receiving use."""

from tests.mailstore.receiving.conftest import account

__all__ = ["account"]
