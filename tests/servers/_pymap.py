"""pymap with mailboxes in memory, in which every user exists: `python -m tests.servers._pymap PORT PASSWORD`."""

from __future__ import annotations

import sys
from typing import Any

from pymap.backend.dict import Login
from pymap.main import main
from pymap.user import Passwords, UserMetadata


def let_everybody_in(password: str) -> None:
    """Give whoever logs in an account with `password`; another password is still wrong."""
    authenticate = Login.authenticate

    async def with_an_account(login: Login, credentials: Any) -> Any:
        name = credentials.authcid
        if name not in login.users_dict:
            hashed = await Passwords(login.config).hash_password(password)
            login.users_dict[name] = UserMetadata(login.config, name, password=hashed)
        return await authenticate(login, credentials)

    Login.authenticate = with_an_account


if __name__ == "__main__":
    port, password = sys.argv[1:]
    let_everybody_in(password)
    sys.argv = ["pymap", "--host", "127.0.0.1", "--port", port, "--no-tls", "dict"]
    main()
