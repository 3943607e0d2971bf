"""Tables of the sandbox. A folder is what IMAP calls a mailbox; one content may lie in several folders."""

from __future__ import annotations

from typing import Final

VERSION: Final = 1

SCHEMA: Final = """
CREATE TABLE fact (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE folder (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    address     TEXT NOT NULL,
    name        TEXT NOT NULL,
    special_use TEXT NOT NULL DEFAULT '',
    uidvalidity INTEGER NOT NULL,
    uidnext     INTEGER NOT NULL DEFAULT 1,
    recent_from INTEGER NOT NULL DEFAULT 1,
    modseq      INTEGER NOT NULL DEFAULT 1,
    UNIQUE (address, name)
);

CREATE TABLE subscription (
    address TEXT NOT NULL,
    name    TEXT NOT NULL,
    PRIMARY KEY (address, name)
) WITHOUT ROWID;

CREATE TABLE content (
    id  INTEGER PRIMARY KEY,
    raw BLOB NOT NULL
);

CREATE TABLE message (
    folder_id   INTEGER NOT NULL REFERENCES folder (id) ON DELETE CASCADE,
    uid         INTEGER NOT NULL,
    content_id  INTEGER NOT NULL REFERENCES content (id),
    size        INTEGER NOT NULL,
    flags       TEXT NOT NULL,
    internal_at INTEGER NOT NULL,
    modseq      INTEGER NOT NULL,
    PRIMARY KEY (folder_id, uid)
) WITHOUT ROWID;

CREATE INDEX message_by_content ON message (content_id);

CREATE TABLE greeting (
    sender    TEXT NOT NULL,
    recipient TEXT NOT NULL,
    first_at  INTEGER NOT NULL,
    PRIMARY KEY (sender, recipient)
) WITHOUT ROWID;
"""
