"""A client that changes a mailbox at random, as people with several devices do."""

from __future__ import annotations

import imaplib
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from typing import Final

from tests.mailstore.receiving.letters import letter

FOLDERS: Final = ("Work", "Private", "Work/Bridge", "Old")
LONGEST_PAUSE: Final = 0.05  # seconds between two changes
FLAGS: Final = (r"\Seen", r"\Flagged", r"\Answered", "$Work", "$Later")


class Mutator:
    """Does random changes from a thread and on a connection of its own, until it is told to rest.

    Another client may have taken a folder or a message away meanwhile: then the server says NO, and nothing is changed.
    done: what was done, for whoever looks for the cause of a failure.
    """

    def __init__(self, connect: Callable[[], imaplib.IMAP4], seed: int, numbers: Iterator[int]) -> None:
        self.seed = seed
        self.done: list[str] = []
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=f"mutator {seed}", daemon=True)
        self._connect = connect
        self._client = connect()
        self._random = random.Random(seed)
        self._numbers = numbers
        self._rest = threading.Event()
        self._actions: dict[Callable[[], None], int] = {
            self._append: 30, self._flag: 25, self._move: 12, self._copy: 6, self._expunge: 10, self._create: 8,
            self._rename: 5, self._delete: 3, self._make_again: 1,
        }  # fmt: skip

    def start(self) -> None:
        self._thread.start()

    def rest(self) -> None:
        """Let it end what it does, and wait until it has."""
        self._rest.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            while not self._rest.wait(self._random.uniform(0, LONGEST_PAUSE)):
                [action] = self._random.choices(list(self._actions), list(self._actions.values()))
                try:
                    action()
                except imaplib.IMAP4.abort:  # the folder that was open was deleted
                    self._client.shutdown()
                    self._client = self._connect()
            self._client.logout()
        except Exception as exc:
            self.failure = exc

    def _append(self) -> None:
        number = next(self._numbers)
        answers = self._random.choice([None, self._random.randint(1, number)])
        flags = " ".join(self._some_flags()) if self._random.random() < 0.3 else ""
        raw = letter(number, answers=answers, body="hello " * self._random.randint(1, 200))
        self._say("append", f'"{self._folder()}"', f"({flags})", None, raw)

    def _flag(self) -> None:
        change = self._random.choice(("+FLAGS", "-FLAGS", "FLAGS"))
        self._on_messages("STORE", change, f"({' '.join(self._some_flags())})")

    def _move(self) -> None:
        self._on_messages("MOVE", f'"{self._folder()}"')

    def _copy(self) -> None:
        self._on_messages("COPY", f'"{self._folder()}"')

    def _expunge(self) -> None:
        self._on_messages("STORE", "+FLAGS", r"(\Deleted)", and_expunge=True)

    def _create(self) -> None:
        self._say("create", f'"{self._own_folder()}"')

    def _rename(self) -> None:
        self._say("rename", f'"{self._own_folder()}"', f'"{self._own_folder()}"')

    def _delete(self) -> None:
        self._say("delete", f'"{self._own_folder()}"')

    def _make_again(self) -> None:
        """The same name, another UIDVALIDITY."""
        folder = self._own_folder()
        self._say("delete", f'"{folder}"')
        self._say("create", f'"{folder}"')
        for _ in range(self._random.randint(0, 4)):
            self._say("append", f'"{folder}"', "()", None, letter(next(self._numbers)))

    def _on_messages(self, command: str, *arguments: str, and_expunge: bool = False) -> None:
        """Say `command` about one to four messages of a folder."""
        folder = self._folder()
        status, _ = self._client.select(f'"{folder}"')
        if status != "OK":
            return
        _, found = self._client.uid("SEARCH", "ALL")
        uids = found[0].split() if found and found[0] else []
        if uids:
            chosen = self._random.sample(uids, min(len(uids), self._random.randint(1, 4)))
            self.done.append(f"{command} {b','.join(chosen).decode()} {arguments} in {folder}")
            self._client.uid(command, b",".join(chosen).decode(), *arguments)
            if and_expunge:
                self._client.expunge()
        self._client.unselect()

    def _say(self, name: str, *arguments: object) -> None:
        status, _ = getattr(self._client, name)(*arguments)
        self.done.append(f"{name} {arguments[:2]}: {status}")

    def _folder(self) -> str:
        return self._random.choice(("INBOX", "INBOX", "Sent", *FOLDERS))

    def _own_folder(self) -> str:
        return self._random.choice(FOLDERS)

    def _some_flags(self) -> list[str]:
        return self._random.sample(FLAGS, self._random.randint(1, 3))


def numbered() -> Iterator[int]:
    """Numbers for letters, from 1; several threads may take them."""
    return itertools.count(1)  # one step of the interpreter each
