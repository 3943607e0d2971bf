"""The servers that tests lean on are real, start, and leave nothing behind."""

from __future__ import annotations

import imaplib
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
from django.test.testcases import QuietWSGIRequestHandler

from tests.environment import ROOT
from tests.servers.browser import BrowserWatch
from tests.servers.live_server import CountingServer
from tests.servers.processes import wait_until


def test_the_private_cluster_takes_databases(postgres):
    url = postgres.create_database("a_fresh_one")
    assert "a_fresh_one" in url
    with psycopg.connect(host=str(postgres.folder), user="emailsettings", dbname="a_fresh_one") as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("off",)


def test_a_command_runs_on_a_cluster_of_its_own_and_its_exit_status_is_kept():
    ask = "import os, sys; print(os.environ['DATABASE_URL']); sys.exit(7)"
    finished = subprocess.run(
        [sys.executable, "-m", "tests.servers.postgres", sys.executable, "-c", ask],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert finished.returncode == 7, finished.stderr
    folder = finished.stdout.removeprefix("postgres://emailsettings@/").rpartition("/")[0]
    assert folder.startswith("/tmp/es-pg-")
    assert not Path(folder).exists()


def test_the_live_server_has_finished_when_the_last_answer_is_given_that_nobody_waits_for():
    answered = []

    def slow(environ, start_response):
        time.sleep(0.2)
        answered.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b""]

    with CountingServer(("127.0.0.1", 0), QuietWSGIRequestHandler) as server:
        server.set_app(slow)
        threading.Thread(target=server.serve_forever, args=[0.01]).start()
        for _ in range(3):
            with socket.create_connection(server.server_address) as browser:
                browser.sendall(b"POST /change HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        server.finish()
        assert answered == ["/change"] * 3
        server.shutdown()


def test_a_page_under_watch_that_calls_elsewhere_is_reported(page, browser_watch):
    page.route(
        "**/*", lambda route: route.fulfill(body="<!doctype html><title>Hello</title><img src=//elsewhere/a.png>")
    )
    browser_watch("foreign request: http://elsewhere/a.png", "ERR_|Failed")
    page.goto("http://localhost/")
    page.evaluate("console.error('Failed on purpose')")
    assert "foreign request: http://elsewhere/a.png" in browser_watch.complaints


def test_an_unannounced_complaint_of_the_browser_fails_the_test():
    watch = BrowserWatch()
    watch.complaints.append("console error: boom")
    assert watch.verdict() == "The browser complained: console error: boom"


PAGE = "<!doctype html><html lang=en><title>A page</title><main><h1>Hello</h1>{}</main></html>"
STRICT = {"Content-Security-Policy": "default-src 'none'; frame-src 'self'", "Content-Type": "text/html"}


def test_axe_passes_a_good_page_under_a_strict_policy(page, assert_accessible):
    page.route("**/*", lambda route: route.fulfill(body=PAGE.format("<p>Text</p>"), headers=STRICT))
    page.goto("http://localhost/")
    assert_accessible(page)


def test_axe_finds_an_image_without_words_and_leaves_sandboxed_frames_alone(page, assert_accessible):
    image = "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"
    body = PAGE.format("<iframe title='Mail' sandbox src='/frame'></iframe>")
    headers = {**STRICT, "Content-Security-Policy": "default-src 'none'; frame-src 'self'; img-src data:"}

    def answer(route):
        route.fulfill(body=PAGE.format(image) if route.request.url.endswith("/frame") else body, headers=headers)

    page.route("**/*", answer)
    page.goto("http://localhost/")
    assert_accessible(page)
    body = PAGE.format(image)
    page.goto("http://localhost/")
    with pytest.raises(pytest.fail.Exception, match="image-alt"):
        assert_accessible(page)


def test_what_postfix_takes_is_read_from_dovecot(dovecot, postfix):
    sender, recipient = dovecot.new_user("alice"), dovecot.new_user("bob")
    context = ssl.create_default_context(cadata=postfix.ca_pem)
    with smtplib.SMTP("localhost", postfix.submission_port, timeout=10) as smtp:
        smtp.starttls(context=context)
        smtp.login(sender.username, sender.password.reveal())
        refused = smtp.sendmail(
            sender.username, [recipient.username, "unknown@example.org"], b"Subject: Hello\r\n\r\nBob\r\n"
        )
    assert refused["unknown@example.org"][0] == 550
    wait_until(lambda: postfix.deliveries(recipient.username) == 1, "delivery")
    with imaplib.IMAP4("127.0.0.1", dovecot.plain_port, timeout=10) as imap:
        imap.login(recipient.username, recipient.password.reveal())
        assert imap.select("INBOX", readonly=True) == ("OK", [b"1"])
        _, parts = imap.fetch("1", "(BODY.PEEK[])")
    assert b"Subject: Hello" in parts[0][1]


def test_postfix_lets_nobody_submit_without_a_login(postfix):
    with smtplib.SMTP("localhost", postfix.submission_port, timeout=10) as smtp:
        smtp.ehlo()
        assert "auth" not in smtp.esmtp_features, "no login before TLS"
        smtp.mail("alice@example.org")
        assert smtp.rcpt("bob@example.org")[0] == 554
