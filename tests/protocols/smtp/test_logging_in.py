"""AUTH PLAIN, LOGIN, OAUTHBEARER and XOAUTH2, with all that servers answer to them (RFC 4954, 7628)."""

from __future__ import annotations

import base64
import json

import pytest

from protocols.credentials import Credentials, Secret
from protocols.errors import Deferred, LoginRefused, MailError, ProtocolViolation, Refused
from protocols.transcript import Transcript
from tests.protocols.smtp.scenes import ALICE, greeting, session_with
from tests.servers.scripted import scripted

TOKEN = Credentials("alice@example.org", Secret("ya29.canary-token"), is_token=True)
LONG_TOKEN = Credentials("alice@example.org", Secret("canary." * 200), is_token=True)
LONG_PASSWORD = Credentials("alice@example.org", Secret("canary " * 100))
WHY = {"status": "401", "schemes": "bearer", "scope": "https://mail.example/"}
CHALLENGE = base64.b64encode(json.dumps(WHY).encode()).decode()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def bearer(user: Credentials) -> str:
    return encoded(f"n,a={user.username},\x01auth=Bearer {user.password.reveal()}\x01\x01")


def xoauth2(user: Credentials) -> str:
    return encoded(f"user={user.username}\x01auth=Bearer {user.password.reveal()}\x01\x01")


def plain(user: Credentials) -> str:
    return encoded(f"\0{user.username}\0{user.password.reveal()}")


def log_in(script: str, user: Credentials) -> None:
    with scripted(script) as server, session_with(server.port, user=user):
        pass


def refusal(script: str, user: Credentials) -> MailError:
    with pytest.raises(MailError) as failure:
        log_in(script, user)
    return failure.value


LOGIN = "S: 334 VXNlcm5hbWU6\nC: {}\nS: 334 UGFzc3dvcmQ6\nC: {}\n"
ALICE_LOGS_IN = LOGIN.format(encoded(ALICE.username), encoded(ALICE.password.reveal()))
UNKNOWN = "S: 504 5.5.4 Unrecognized authentication type\n"


@pytest.mark.parametrize(
    ("offered", "user", "dialogue"),
    [
        ("AUTH PLAIN LOGIN", ALICE, f"C: AUTH PLAIN {plain(ALICE)}\n"),
        ("AUTH LOGIN", ALICE, f"C: AUTH LOGIN\n{ALICE_LOGS_IN}"),
        ("AUTH PLAIN XOAUTH2 OAUTHBEARER", TOKEN, f"C: AUTH OAUTHBEARER {bearer(TOKEN)}\n"),
        ("AUTH LOGIN XOAUTH2", TOKEN, f"C: AUTH XOAUTH2 {xoauth2(TOKEN)}\n"),
        ("AUTH PLAIN", LONG_PASSWORD, f"C: AUTH PLAIN\nS: 334 \nC: {plain(LONG_PASSWORD)}\n"),
        ("AUTH OAUTHBEARER", LONG_TOKEN, f"C: AUTH OAUTHBEARER\nS: 334 \nC: {bearer(LONG_TOKEN)}\n"),
        ("AUTH XOAUTH2", LONG_TOKEN, f"C: AUTH XOAUTH2\nS: 334\nC: {xoauth2(LONG_TOKEN)}\n"),
        ("AUTH PLAIN LOGIN", ALICE, f"C: AUTH PLAIN *\n{UNKNOWN}C: AUTH LOGIN\n{ALICE_LOGS_IN}"),
    ],
)
def test_each_way_to_log_in_is_said_as_its_standard_has_it(offered: str, user: Credentials, dialogue: str) -> None:
    log_in(greeting(offered) + dialogue + "S: 235 2.7.0 in\nC: QUIT\nS: 221 bye", user)


def test_no_command_is_longer_than_a_line_may_be() -> None:
    script = greeting("AUTH XOAUTH2") + "C: AUTH XOAUTH2\nS: 334\nC *\nS: 235 in\nC: QUIT"
    with scripted(script) as server, session_with(server.port, user=LONG_TOKEN):
        pass
    assert max(len(line) + 2 for line in server.lines if line.startswith(b"AUTH")) <= 512


@pytest.mark.parametrize(
    ("offered", "dialogue"),
    [
        ("OAUTHBEARER", f"C: AUTH OAUTHBEARER *\nS: 334 {CHALLENGE}\nC: AQ==\nS: 535 5.7.8 refused\nC: QUIT"),
        ("XOAUTH2", f"C: AUTH XOAUTH2 *\nS: 334 {CHALLENGE}\nC: \nS: 535 5.7.8 refused\nC: QUIT"),
    ],
)
def test_a_refused_token_is_explained_in_the_servers_own_words(offered: str, dialogue: str) -> None:
    failure = refusal(greeting(f"AUTH {offered}") + dialogue, TOKEN)
    assert type(failure) is LoginRefused
    assert (failure.code, failure.enhanced) == (535, "5.7.8")
    assert json.dumps(WHY) in failure.reply


@pytest.mark.parametrize(
    ("dialogue", "error"),
    [
        ("C: AUTH OAUTHBEARER *\nS: 334 not base64\nC: AQ==\nS: 535 5.7.8 no\nC: QUIT", LoginRefused),
        ("C: AUTH OAUTHBEARER *\nS: 334 e30=\nC: AQ==\nS: 334 e30=\nC: [*]\nS: 501 cancelled\nC: QUIT", LoginRefused),
        ("C: AUTH OAUTHBEARER *\nS: 454 4.7.0 later\nC: QUIT", Deferred),
        ("C: AUTH OAUTHBEARER *\nS: 334 e30=\nC: AQ==\nS: 421 4.3.0 closing\nCLOSE", Deferred),
        ("C: AUTH OAUTHBEARER *\nS: 504 5.5.4 what\nC: QUIT", Refused),
    ],
)
def test_what_a_refused_token_means_is_told_apart(dialogue: str, error: type[MailError]) -> None:
    assert type(refusal(greeting("AUTH OAUTHBEARER") + dialogue, TOKEN)) is error


@pytest.mark.proves("T7")
@pytest.mark.parametrize(("user", "offered"), [(ALICE, "AUTH XOAUTH2 OAUTHBEARER"), (TOKEN, "AUTH PLAIN LOGIN")])
def test_a_password_is_never_offered_as_a_token_nor_a_token_as_one(user: Credentials, offered: str) -> None:
    with scripted(greeting(offered) + "C: QUIT") as server:
        with pytest.raises(Refused, match="takes no"), session_with(server.port, user=user):
            pass
        assert b"canary" not in server.plaintext
        assert b"AUTH " not in server.plaintext


@pytest.mark.proves("T7")
@pytest.mark.parametrize("user", [ALICE, TOKEN, LONG_TOKEN], ids=["password", "token", "long token"])
def test_no_transcript_holds_what_was_offered_also_where_the_server_echoes_it(user: Credentials) -> None:
    response = bearer(user) if user.is_token else plain(user)
    said = "C: AUTH *\n" + ("S: 334\nC\n" if user is LONG_TOKEN else "")
    script = greeting("AUTH PLAIN OAUTHBEARER") + said + f"S: 535 {response[:400]}\nC: QUIT"
    transcript = Transcript(user)
    with (
        scripted(script) as server,
        pytest.raises(LoginRefused) as failure,
        session_with(server.port, user=user, transcript=transcript),
    ):
        pass
    if len(response) <= 400:
        assert response not in str(transcript)
        assert response not in failure.value.reply
    assert user.password.reveal() not in str(transcript)
    assert "AUTH" in str(transcript)


@pytest.mark.proves("T7")
def test_no_error_holds_what_was_offered_where_the_server_speaks_no_smtp_any_more() -> None:
    script = greeting("AUTH PLAIN") + f"C: AUTH *\nS: ?? unknown command AUTH PLAIN {plain(ALICE)}\n"
    failure = refusal(script, ALICE)
    assert type(failure) is ProtocolViolation
    assert plain(ALICE) not in failure.reply
    assert "unknown command" in failure.reply
