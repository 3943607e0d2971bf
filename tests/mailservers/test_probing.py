"""Another port is offered as a cure only where it answers (D3); a refused destination names its setting (D2)."""

from __future__ import annotations

import pytest
from django.urls import reverse

from mailservers.allowing import told_to
from mailservers.checking import check_outgoing
from mailservers.fixes import TLS_PORT
from mailservers.probing import answering_fixes
from protocols.diagnosis import Who
from protocols.endpoint import Endpoint, Protocol, Security
from protocols.errors import DestinationRefused, SecurityRefused, Unreachable
from protocols.network import Dialer, DialPolicy
from protocols.steps import StepName
from tests.mailservers.conftest import let_through
from tests.mailservers.test_diagnosis import said
from tests.mailservers.test_dialogs import HTMX, VALUES
from tests.servers import certificates
from tests.servers.processes import free_port
from tests.servers.scripted import ScriptedServer

SUBMISSION = Endpoint("mail.sandbox.test", 587, Security.STARTTLS)
ODD_PORT = Endpoint("mail.sandbox.test", 2525, Security.STARTTLS)
TLS_465 = {"security": "tls", "port": "465"}
WITHOUT_STARTTLS = "S: 220 ready\nC: EHLO *\nS: 250 hello\nC: QUIT\nS: 221 bye\n"


def unreachable(step: StepName = StepName.TCP) -> Unreachable:
    error = Unreachable("Nothing answers there.")
    error.step = step
    return error


def offered(error, fixes: dict[str, str], *answering: int, endpoint: Endpoint = SUBMISSION) -> dict[str, str]:
    return answering_fixes(
        error, fixes, protocol=Protocol.SMTP, endpoint=endpoint, answers=lambda there: there.port in answering
    )


@pytest.mark.proves("D3")
def test_a_guessed_port_is_offered_only_where_it_answers():
    refused = SecurityRefused("No STARTTLS here.")
    assert offered(refused, TLS_465, 465) == TLS_465
    assert offered(refused, TLS_465) == {}


@pytest.mark.proves("D3")
def test_where_nothing_answers_the_neighbour_that_does_is_offered():
    assert offered(unreachable(), {}, 587, endpoint=ODD_PORT) == {"security": "starttls", "port": "587"}
    assert offered(unreachable(), {}, 465, 587, endpoint=ODD_PORT) == TLS_465
    assert offered(unreachable(), {}, endpoint=ODD_PORT) == {}


def test_other_failures_and_fixes_ask_nobody():
    assert offered(unreachable(StepName.DNS), {}, 465, 587) == {}
    assert offered(unreachable(StepName.TLS), {"security": "starttls"}) == {"security": "starttls"}
    assert offered(DestinationRefused("Not there."), {}, 465) == {}


@pytest.mark.proves("D3")
def test_a_real_check_asks_the_neighbour_before_it_offers_it(monkeypatch, rules):
    answering = ScriptedServer(WITHOUT_STARTTLS, certificates.good("mail.sandbox.test"), tls=True)
    for port, fixes in ((answering.port, {"security": "tls", "port": str(answering.port)}), (free_port(), {})):
        server = ScriptedServer(WITHOUT_STARTTLS, None, tls=False)
        let_through(monkeypatch, server.port, port, trusting=certificates.trust())
        monkeypatch.setitem(TLS_PORT, Protocol.SMTP, port)
        report = check_outgoing(Endpoint("mail.sandbox.test", server.port, Security.STARTTLS, 5), None)
        server.stop()
        assert report.diagnosis is not None
        assert report.diagnosis.fixes == fixes
    answering.stop()


@pytest.mark.proves("D2")
@pytest.mark.parametrize(
    ("host", "port", "setting"),
    [("93.184.216.34", 4000, "EMAILSETTINGS_DIAL_PORTS"), ("10.0.0.7", 587, "EMAILSETTINGS_DIAL_NETWORKS")],
)
def test_a_refused_destination_tells_administrators_the_setting_and_others_whom_to_ask(
    rules, administrator, alice, host, port, setting
):
    with pytest.raises(DestinationRefused) as refusal:
        Dialer(DialPolicy()).connect(host, port, timeout=1)
    diagnosis = said(refusal.value)
    for_alice, for_administrator = told_to(alice, diagnosis), told_to(administrator, diagnosis)
    assert [(cause.cure, cause.who) for cause in for_alice.causes] == [
        ("Ask your administrator to allow it.", Who.ADMINISTRATOR)
    ]
    assert setting in for_administrator.causes[0].cure
    assert for_administrator.title == for_alice.title == str(refusal.value)


@pytest.mark.proves("D2")
def test_the_live_check_names_the_setting_to_an_administrator(rules, client_of, administrator):
    values = {**VALUES, "host": "smtp.example.org", "port": "4000"}
    answer = client_of(administrator).post(reverse("mailservers:check-new"), values, headers=HTMX)
    assert "EMAILSETTINGS_DIAL_PORTS" in b"".join(answer.streaming_content).decode()
