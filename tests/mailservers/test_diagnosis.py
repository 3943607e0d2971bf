# ruff: noqa: E501 - one answer of a server, one line
"""What real servers say, and what a person is told. The texts come from public reports (facts/errors.tsv)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mailservers.diagnosis import _order, choose, diagnose
from mailservers.failures import KINDS
from mailservers.fixes import fixes_for, label_of
from mailservers.models import DiagnosisRule
from mailservers.rulebook import read_rules
from protocols import errors
from protocols.diagnosis import Diagnosis, Retry, Who
from protocols.endpoint import Endpoint, Protocol, Security
from protocols.errors import (
    CertificateProblem,
    CertificateRefused,
    Deferred,
    DestinationRefused,
    LoginRefused,
    MailError,
    OutcomeUnknown,
    ProtocolViolation,
    Refused,
    SecurityRefused,
    Unreachable,
)
from protocols.steps import StepName

IMAP, SMTP = Protocol.IMAP, Protocol.SMTP
RULES = sorted((DiagnosisRule(**values) for values in read_rules()), key=_order)
AT = {
    IMAP: Endpoint("imap.example.org", 993, Security.TLS),
    SMTP: Endpoint("smtp.example.org", 587, Security.STARTTLS),
}


def said(
    error: MailError, protocol: Protocol = SMTP, provider: str = "", endpoint: Endpoint | None = None
) -> Diagnosis:
    return choose(RULES, error, protocol=protocol, endpoint=endpoint or AT[protocol], provider_key=provider)


def login(reply: str, code: int = 0) -> LoginRefused:
    return LoginRefused("refused", reply=reply, step=StepName.LOGIN, code=code)


def refused(reply: str, step: StepName | None = None) -> Refused:
    return Refused("refused", reply=reply, step=step, code=int(reply[:3]) if reply[:3].isdigit() else 0)


def deferred(reply: str) -> Deferred:
    return Deferred("later", reply=reply, code=int(reply[:3]) if reply[:3].isdigit() else 0)


def away(reply: str, step: StepName) -> Unreachable:
    return Unreachable("away", reply=reply, step=step)


REAL_ANSWERS = [
    (IMAP, "google", login("NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)"), "google-app-password"),
    (IMAP, "google", login("NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"), "google-invalid-credentials"),
    (SMTP, "google", login("534 5.7.9 Application-specific password required. Learn more at https://support.google.com/mail/?p=InvalidSecondFactor"), "google-app-password"),
    (SMTP, "google", login("535 5.7.8 Username and Password not accepted."), "google-invalid-credentials"),
    (IMAP, "google", login("NO [ALERT] Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754 (Failure)"), "google-unknown-place"),
    (IMAP, "google", login("NO [WEBALERT https://accounts.google.com/signin/continue?sarp=1] Web login required."), "google-web-login"),
    (IMAP, "google", refused("NO [ALERT] Too many simultaneous connections. (Failure)"), "google-too-many-connections"),
    (SMTP, "google", deferred("454 4.7.0 Too many login attempts, please try again later."), "google-too-many-logins"),
    (SMTP, "google", refused("550 5.4.5 Daily user sending quota exceeded."), "google-daily-limit"),
    (SMTP, "google", deferred("421 4.3.0 Temporary System Problem. Try again later"), "google-busy"),
    (SMTP, "google", deferred("421 4.7.0 Our system has detected an unusual rate of unsolicited mail originating from your IP address"), "google-bad-reputation"),
    (IMAP, "google", refused("NO [NONEXISTENT] Unknown Mailbox: [Gmail]/Sent Mail (Failure)"), "folder-missing"),
    (SMTP, "google", refused("552 5.2.3 Your message exceeded Google's message size limits."), "message-too-large"),
    (SMTP, "google", refused("552 5.7.0 This message was blocked because its content presents a potential security issue."), "content-refused"),
    (SMTP, "microsoft-365", login("535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information."), "microsoft-smtp-auth-disabled"),
    (SMTP, "outlook", login("535 5.7.139 Authentication unsuccessful, basic authentication is disabled."), "microsoft-basic-authentication"),
    (SMTP, "microsoft-365", login("535 5.7.3 Authentication unsuccessful"), "microsoft-login-failed"),
    (SMTP, "", refused("530 5.7.57 Client not authenticated to send mail."), "microsoft-not-authenticated"),
    (IMAP, "outlook", login("NO Basic authentication is disabled."), "microsoft-basic-authentication"),
    (IMAP, "outlook", login("NO LOGIN failed."), "microsoft-login-failed"),
    (IMAP, "microsoft-365", refused("BAD User is authenticated but not connected."), "microsoft-not-connected"),
    (IMAP, "outlook", login("NO LOGIN failed. Account is blocked. Login to your account via a web browser to verify your identity."), "microsoft-blocked-place"),
    (SMTP, "", refused("554 5.2.252 SendAsDenied; a@contoso.example not allowed to send as b@contoso.example"), "microsoft-send-as"),
    (SMTP, "", refused("554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied"), "microsoft-send-as"),
    (SMTP, "", refused("550 5.7.60 SMTP; Client does not have permissions to send as this sender"), "microsoft-send-as"),
    (SMTP, "", deferred("432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded"), "microsoft-parallel-sending"),
    (SMTP, "", deferred("432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending"), "microsoft-parallel-sending"),
    (SMTP, "", refused("554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"), "microsoft-daily-limit"),
    (SMTP, "", refused("554 5.6.0 Invalid message content when handling MIME exception. IMC53"), "references-too-long"),
    (IMAP, "microsoft-365", Unreachable("closed", reply="BYE Connection closed. 14"), "microsoft-throttled"),
    (IMAP, "yahoo", login("NO [AUTHENTICATIONFAILED] LOGIN Invalid credentials"), "yahoo-invalid-credentials"),
    (SMTP, "yahoo", login("535 5.7.0 (#AUTH005) Too many bad auth attempts."), "yahoo-too-many-attempts"),
    (IMAP, "aol", login("Too many bad login attempts."), "yahoo-too-many-attempts"),
    (IMAP, "zoho-eu", login("NO [AUTHENTICATIONFAILED] Invalid credentials(Failure)"), "zoho-invalid-credentials"),
    (SMTP, "zoho", refused("553 Relaying disallowed as sales@northwind.example"), "zoho-relaying"),
    (IMAP, "icloud", login("NO [AUTHENTICATIONFAILED] Authentication failed"), "icloud-invalid-credentials"),
    (IMAP, "yandex", login("NO [AUTHENTICATIONFAILED] LOGIN Invalid credentials or IMAP is disabled sc=abc"), "yandex-imap-disabled"),
    (SMTP, "", login("535 5.7.8 Error: authentication failed: This user does not have access rights to this service"), "yandex-imap-disabled"),
    (SMTP, "", login("535 5.7.8 Error: authentication failed: Your message looks like spam. You need to use web for sending or prove you are not a robot using the following link"), "yandex-robot-check"),
    (SMTP, "", login("535 5.7.0 NEOBHODIM parol prilozheniya https://help.mail.ru/mail/security/protection/external / Application password is REQUIRED"), "mail-ru-says-app-password"),
    (SMTP, "mail-ru", login("535 Incorrect authentication data: authentication failed"), "mail-ru-app-password"),
    (IMAP, "gmx", login("NO authentication failed (POP3 -ERR authentication failed)"), "gmx-access-off"),
    (IMAP, "web-de", login("NO [AUTHENTICATIONFAILED] Authentication failed."), "gmx-access-off"),
    (IMAP, "t-online", login("NO LOGIN failed"), "t-online-email-password"),
    (IMAP, "fastmail", login("NO Incorrect username or password."), "fastmail-app-password"),
    (SMTP, "", login("535 Login Fail. Please enter your authorization code to login. More information in http://service.mail.qq.com/cgi-bin/help"), "qq-authorization-code"),
    (IMAP, "qq", login("NO Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, or system is busy."), "qq-login-fail"),
    (IMAP, "netease-163", refused("NO SELECT Unsafe Login. Please contact kefu@188.com for help"), "netease-unsafe-login"),
    (IMAP, "", refused("NO EXAMINE Unsafe Login."), "imap-unsafe-login"),
    (SMTP, "brevo", login("535 5.7.0 Invalid login or password"), "smtp-invalid-key"),
    (IMAP, "", away("Name or service not known", StepName.DNS), "host-not-found"),
    (IMAP, "", away("Connection refused", StepName.TCP), "connection-refused"),
    (SMTP, "", away("timed out", StepName.TCP), "connection-timed-out"),
    (IMAP, "", away("[SSL: WRONG_VERSION_NUMBER] wrong version number", StepName.TLS), "tls-spoken-to-plain-port"),
    (SMTP, "", SecurityRefused("no", reply="EHLO offers: SIZE", step=StepName.STARTTLS), "starttls-not-offered"),
    (SMTP, "", Refused("no", reply="AUTH methods offered: none", step=StepName.LOGIN), "smtp-login-not-offered"),
    (SMTP, "", refused("530 5.7.0 Must issue a STARTTLS command first"), "starttls-wanted-first"),
    (IMAP, "", refused("NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=16)"), "too-many-connections"),
    (IMAP, "", refused("NO [TRYCREATE] Mailbox doesn't exist: Archive"), "folder-missing"),
    (SMTP, "", login("535 Incorrect authentication data"), "incorrect-authentication-data"),
    (SMTP, "", deferred("454 Throttling failure: Maximum sending rate exceeded."), "ses-rate"),
    (SMTP, "", deferred("421 Service not available, closing transmission channel"), "service-closing"),
    (SMTP, "", deferred("451 4.4.2 Timeout waiting for data from client."), "service-closing"),
    (SMTP, "", refused("550 5.1.1 <x@example.com>: Recipient address rejected: User unknown"), "recipient-unknown"),
    (SMTP, "", refused("553 5.7.1 <boss@example.com>: Sender address rejected: not owned by user office@example.com"), "may-not-send-as"),
    (SMTP, "", refused("550 5.7.1 User not authorized to send on behalf of sender"), "may-not-send-as"),
    (SMTP, "", refused("501 5.1.7 From address not verified"), "may-not-send-as"),
    (SMTP, "", refused("550 Envelope sender does not match the authenticated account"), "may-not-send-as"),
    (SMTP, "", refused("553 5.1.2 We weren't able to find the recipient domain."), "recipient-domain-unknown"),
    (SMTP, "", deferred("452 4.5.3 Too many recipients"), "too-many-recipients"),
    (SMTP, "", refused("554 5.7.1 <x@example.com>: Relay access denied"), "relay-denied"),
    (SMTP, "", refused("552 5.2.2 <x@example.com>: The email account is over quota"), "recipient-mailbox-full"),
    (IMAP, "", refused("NO [OVERQUOTA] Quota exceeded (mailbox for user is full)"), "mailbox-full"),
    (IMAP, "", login("NO [AUTHORIZATIONFAILED] Not authorized"), "not-authorized"),
    (IMAP, "", login("NO LOGIN login error, password error"), "login-refused"),
    (IMAP, "", login("NO [AUTHENTICATIONFAILED] invalid login or password"), "login-refused"),
    (SMTP, "", login("535 5.7.8 Authentication credentials invalid"), "login-refused"),
]  # fmt: skip


@pytest.mark.proves("D2")
@pytest.mark.parametrize(("protocol", "provider", "error", "code"), REAL_ANSWERS, ids=[row[3] for row in REAL_ANSWERS])
def test_what_real_servers_say_is_understood(protocol: Protocol, provider: str, error: MailError, code: str):
    diagnosis = said(error, protocol, provider)
    assert diagnosis.code == code
    for text in (diagnosis.title, *(cause.cure for cause in diagnosis.causes)):
        assert text
        assert "{" not in text


def certificate(problem: CertificateProblem, *names: str) -> CertificateRefused:
    return CertificateRefused(
        "no", problem=problem, names=names, step=StepName.TLS, expires_at=datetime(2026, 11, 2, tzinfo=UTC)
    )


@pytest.mark.proves("D2")
@pytest.mark.parametrize("problem", CertificateProblem)
def test_every_problem_of_a_certificate_has_its_sentence(problem: CertificateProblem):
    diagnosis = said(certificate(problem, "mail.example.net"))
    expected = "certificate-refused" if problem is CertificateProblem.OTHER else f"certificate-{problem}"
    assert diagnosis.code == expected.replace("_", "-")
    if problem is CertificateProblem.EXPIRED:
        assert diagnosis.causes[0].cause == "It was valid until 2 November 2026."


@pytest.mark.proves("D2")
@pytest.mark.parametrize(
    "family",
    [Unreachable, Refused, LoginRefused, SecurityRefused, Deferred, OutcomeUnknown, ProtocolViolation, MailError],
)
def test_every_kind_of_failure_has_an_answer_even_without_words(family: type[MailError]):
    diagnosis = said(family("Something happened."))
    assert diagnosis.title
    assert diagnosis.causes[0].cause
    assert diagnosis.causes[0].cure


def test_every_family_of_errors_has_a_kind_that_rules_can_name():
    families = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, MailError)}
    unnamed = {family.__name__ for family in families if not any(kind in KINDS for kind in _kinds(family))}
    assert unnamed <= {"MailError"}


def _kinds(family: type[MailError]) -> tuple[str, ...]:
    from mailservers.failures import kinds_of

    return kinds_of(family("x"))


def test_a_refused_destination_is_one_sentence_and_nothing_else():
    diagnosis = said(DestinationRefused("10.0.0.1 is not a public mail server."))
    assert diagnosis.title == "10.0.0.1 is not a public mail server."
    assert diagnosis.causes == ()
    assert diagnosis.fixes == {}


def test_the_retry_class_comes_from_the_rule_and_not_from_the_code():
    assert said(refused("550 5.4.5 Daily user sending quota exceeded.")).retry is Retry.NEXT_DAY
    assert said(deferred("451 4.7.1 Greylisted, please try again later")).retry is Retry.BACK_OFF
    assert said(login("NO no")).retry is Retry.STOP


@pytest.mark.proves("R18")
@pytest.mark.parametrize(
    ("code", "reply"),
    [
        ("relay-denied", "450 4.7.1 Relay access denied"),
        ("login-required", "454 4.7.0 Authentication required"),
        ("may-not-send-as", "450 4.7.1 Sender address rejected: not owned by user"),
        ("recipient-unknown", "450 5.1.1 User unknown in local recipient table"),
        ("recipient-domain-unknown", "450 4.1.2 Recipient address rejected: Domain not found"),
        ("message-too-large", "452 4.3.1 Message too large for now"),
        ("content-refused", "451 4.3.0 The virus scanner is away"),
        ("references-too-long", "451 IMC53"),
    ],
)
def test_a_4yz_is_explained_by_its_words_and_never_final_by_them(code: str, reply: str):
    diagnosis = said(deferred(reply))
    assert (diagnosis.code, diagnosis.retry) == (code, Retry.BACK_OFF)


def test_a_rule_that_names_the_kind_may_make_a_4yz_final():
    final = DiagnosisRule(code="odd", title="No.", causes=[], retry="stop", kind="deferred", pattern="closed for good")
    diagnosis = choose([final], deferred("450 closed for good"), protocol=SMTP, endpoint=AT[SMTP])
    assert diagnosis.retry is Retry.STOP


@pytest.mark.proves("R18")
@pytest.mark.parametrize(
    ("reply", "retry"),
    [
        ("554 5.7.1 Please try again later", Retry.STOP),
        ("550 5.7.1 Greylisted", Retry.STOP),
        ("554 5.3.2 Service not available", Retry.STOP),
        ("550 5.1.1 User unknown, error 421", Retry.STOP),
        ("552 5.5.3 Too many recipients", Retry.BACK_OFF),  # RFC 5321, 4.5.3.1.10
        ("552 5.2.2 Mailbox full", Retry.BACK_OFF),  # RFC 3463, 3.3
        ("554 5.7.1 Client host blocked using zen.spamhaus.org", Retry.BACK_OFF),
        ("450 4.7.1 Please try again later", Retry.BACK_OFF),
        ("421 4.3.2 Closing", Retry.BACK_OFF),
    ],
)
def test_a_5yz_is_final_whatever_it_promises_but_where_the_rules_say_why_not(reply: str, retry: Retry):
    error = deferred(reply) if reply.startswith("4") else refused(reply)
    assert said(error).retry is retry


def test_a_refused_sender_is_explained_by_its_words_first():
    assert said(refused("552 5.3.4 Message size exceeds fixed limit", StepName.SENDER)).code == "message-too-large"
    assert said(refused("550 5.1.8 No", StepName.SENDER)).code == "sender-refused"


def test_a_link_out_of_a_reply_is_taken_only_from_the_provider_itself():
    reply = "NO [WEBALERT {}] Web login required."
    good = said(login(reply.format("https://accounts.google.com/continue")), IMAP, "google")
    assert good.causes[0].link == "https://accounts.google.com/continue"
    bad = said(login(reply.format("https://evil.example/accounts.google.com/")), IMAP, "google")
    assert "evil" not in str(bad.as_json())


def test_words_of_a_rule_cannot_reach_into_objects():
    rule = DiagnosisRule(
        code="odd", title="{host.__class__} {unknown} {host}", causes=[], retry="stop", kind="login_refused"
    )
    diagnosis = choose([rule], login("no"), protocol=IMAP, endpoint=AT[IMAP])
    assert diagnosis.title == "{host.__class__}  imap.example.org"


@pytest.mark.parametrize("reply", ["a" * 5000, "\x00\x01\xff" * 300, "(((((" * 1000, "5.7.1 " * 900, "账号异常" * 400])
def test_a_hostile_reply_is_answered_fast(reply: str):
    started = datetime.now(UTC)
    assert said(login(reply)).title
    assert (datetime.now(UTC) - started).total_seconds() < 0.5


PORT_465 = Endpoint("smtp.example.org", 465, Security.STARTTLS)


@pytest.mark.proves("D3")
@pytest.mark.parametrize(
    ("error", "endpoint", "fixes", "label"),
    [
        (away("timed out", StepName.GREETING), PORT_465, {"security": "tls"}, "Use TLS"),
        (
            away("wrong version number", StepName.TLS),
            Endpoint("smtp.example.org", 587, Security.TLS),
            {"security": "starttls"},
            "Use STARTTLS",
        ),
        (
            away("[SSL] record layer failure", StepName.TLS),
            Endpoint("smtp.example.org", 25, Security.TLS),
            {"security": "starttls"},
            "Use STARTTLS",
        ),
        (
            SecurityRefused("no", reply="EHLO offers: SIZE", step=StepName.STARTTLS),
            AT[SMTP],
            {"security": "tls", "port": "465"},
            "Use TLS on port 465",
        ),
        (
            refused("530 5.7.0 Must issue a STARTTLS command first", StepName.SENDER),
            Endpoint("smtp.example.org", 587, Security.NONE),
            {"security": "starttls"},
            "Use STARTTLS",
        ),
        (
            certificate(CertificateProblem.WRONG_NAME, "*.hoster.example", "mail.hoster.example"),
            Endpoint("mail.northwind.example", 465, Security.TLS),
            {"host": "mail.hoster.example"},
            "Use mail.hoster.example",
        ),
        (certificate(CertificateProblem.EXPIRED, "mail.hoster.example"), AT[SMTP], {}, ""),
        (login("535 no"), AT[SMTP], {}, ""),
    ],
)
def test_a_cure_that_one_click_brings_about_is_offered(
    error: MailError, endpoint: Endpoint, fixes: dict[str, str], label: str
):
    found = fixes_for(error, protocol=SMTP, endpoint=endpoint)
    assert found == fixes
    assert label_of(found) == label


def test_no_fix_ever_takes_protection_away():
    for security in (Security.TLS, Security.STARTTLS):
        for port in (25, 465, 587, 143, 993, 2525):
            for step in StepName:
                for error in (away("wrong version number", step), SecurityRefused("no", step=step)):
                    found = fixes_for(error, protocol=SMTP, endpoint=Endpoint("h.example", port, security))
                    assert found.get("security") != "none"


def test_a_name_that_is_no_host_is_never_offered():
    odd = certificate(CertificateProblem.WRONG_NAME, "<script>", "*.com.", "a b", "localhost", "*.*")
    assert fixes_for(odd, protocol=SMTP, endpoint=AT[SMTP]) == {}


def test_the_provider_is_found_by_the_host_that_was_typed(rules, db):
    from providers.models import Provider

    Provider.objects.create(key="google", name="Google", imap_host="imap.gmail.com")
    error = login("NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)")
    found = diagnose(error, protocol=IMAP, endpoint=Endpoint("IMAP.gmail.com", 993, Security.TLS))
    assert found.code == "google-invalid-credentials"
    assert found.causes[0].who is Who.USER


def test_an_organizations_own_rule_speaks_first_and_only_there(rules, organization, other_organization):
    DiagnosisRule.objects.create(
        organization=organization,
        code="own",
        rank=1,
        pattern="call 4711",
        title="Our own server wants a call.",
        causes=[{"cause": "New device.", "cure": "Call 4711.", "who": "user"}],
    )
    where = {"protocol": IMAP, "endpoint": AT[IMAP]}
    assert diagnose(login("NO call 4711"), **where, organization=organization).code == "own"
    assert diagnose(login("NO call 4711"), **where, organization=other_organization).code == "login-refused"


def test_without_any_rules_there_is_still_an_answer(db):
    assert diagnose(away("x", StepName.TCP), protocol=SMTP, endpoint=AT[SMTP]).causes[0].cure
    assert diagnose(DestinationRefused("Not there."), protocol=SMTP, endpoint=AT[SMTP]).title == "Not there."
