"""The test message: proves that a saved server really sends (spec B4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from django.template.loader import render_to_string
from django.utils import timezone

from mailservers.allowing import told_to
from mailservers.diagnosis import diagnose
from mailservers.models import MailServer
from mailservers.passwords import opened
from mailservers.streaming import Emit, show_line, show_step
from organizations import audit
from organizations.dialing import dialer, trust
from organizations.models import AuditEntry, User
from organizations.requests import SignedInRequest
from protocols.diagnosis import Diagnosis
from protocols.endpoint import Protocol as MailProtocol
from protocols.errors import Deferred, DestinationRefused, MailError, Refused
from protocols.message.addresses import Address
from protocols.message.build import OutgoingMessage, build_message
from protocols.message.identity import new_message_id
from protocols.smtp.session import open_session
from protocols.stepping import Stopwatch
from protocols.steps import Observer, StepStatus

TEXT = """\
{organization} sends mail through the server "{server}" ({endpoint}), and this message came through it.

{person} asked for it. Nothing has to be done.
"""


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What became of it. reply: the server's own words; problem: None where it took the message."""

    __test__ = False  # pytest: this is none of yours

    recipient: str
    problem: Diagnosis | None
    reply: str


class HandOver(Protocol):
    """Told how the last step ended: the message itself."""

    def __call__(self, *, status: StepStatus, detail: str, ms: int) -> None: ...


def send_test_message(server: MailServer, request: SignedInRequest, emit: Emit) -> None:
    """Send it and show each step on the page. Waits for the network."""
    emit({"begin": render_to_string("mailservers/_check_begin.html")})

    def handed_over(*, status: StepStatus, detail: str, ms: int) -> None:
        show_line(emit, "Message", status, detail, ms)

    outcome = try_test_message(server, request, observe=lambda step: show_step(emit, step), handed_over=handed_over)
    context = {"recipient": outcome.recipient, "diagnosis": outcome.problem, "words": outcome.reply}
    emit({"end": render_to_string("mailservers/_test_end.html", context), "ok": outcome.problem is None})


def try_test_message(
    server: MailServer, request: SignedInRequest, *, observe: Observer, handed_over: HandOver
) -> TestOutcome:
    """Send it to the person who asks, and write the outcome to the audit log. Waits for the network."""
    user = request.user
    problem, words = None, ""
    try:
        words = _send(server, user, observe, handed_over)
    except MailError as exc:
        problem, words = (
            told_to(user, _explained(exc, server)),
            "" if isinstance(exc, DestinationRefused) else exc.reply,
        )
    audit.record(
        "mailserver.test_message",
        organization=server.organization,
        actor=user,
        target=server,
        outcome=AuditEntry.Outcome.FAILED if problem else AuditEntry.Outcome.DONE,
        detail={"recipient": user.email, "diagnosis": problem.code if problem else ""},
        request=request,
    )
    return TestOutcome(user.email, problem, words)


def compose(server: MailServer, user: User) -> OutgoingMessage:
    """From the login's address, where the user name is one, to the person; answers to automatic mail are not wanted."""
    sender = server.sender_address() or user.email
    return OutgoingMessage(
        from_=Address(server.organization.name, sender),
        to=(Address(user.name, user.email),),
        subject=f"Test message from {server.name}",
        text=TEXT.format(organization=server.organization, server=server, endpoint=server.endpoint(), person=user),
        message_id=new_message_id(sender.rpartition("@")[2]),
        date=timezone.localtime(),
        headers=(("Auto-Submitted", "auto-generated"),),
        language="en",
    )


def _send(server: MailServer, user: User, observe: Observer, handed_over: HandOver) -> str:
    """Hand it over and return the server's words. Raises MailError, also where the recipient was refused."""
    message = compose(server, user)
    raw = build_message(message)
    session = open_session(
        server.endpoint(),
        opened(server.credentials),
        dialer=dialer(),
        trust=trust(),
        observe=observe,
    )
    with session as smtp:
        watch = Stopwatch()
        [reply] = smtp.submit(message.from_.address, [user.email], raw, before_final_dot=lambda: None)
        words = f"{reply.code} {reply.text}".strip()
        status = StepStatus.OK if reply.accepted else StepStatus.FAILED
        handed_over(status=status, detail="taken" if reply.accepted else words, ms=watch.ms)
    if not reply.accepted:
        refusal = Deferred if reply.deferred else Refused
        raise refusal("The server did not take the message.", reply=words, code=reply.code)
    return words


def _explained(error: MailError, server: MailServer) -> Diagnosis:
    return diagnose(
        error,
        protocol=MailProtocol.SMTP,
        endpoint=server.endpoint(),
        provider_key=server.provider.key if server.provider else "",
        organization=server.organization,
    )
