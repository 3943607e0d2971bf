"""The work behind `benchmarks/arrival`: a server, a relay that notes when notices pass, the product and a browser."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

import tests.environment
from benchmarks.full_pull import Contest, command, fill
from benchmarks.mailbox_generator import mailbox
from benchmarks.report import Figure, options, report
from tests.servers.dovecot import running_dovecot
from tests.servers.fault_proxy import Fault, FaultProxy
from tests.servers.processes import wait_until
from tests.servers.product import NOT_HANDED_ON, Product, running_product
from tests.walks.doing import sign_in

CHROMIUM = "/usr/bin/chromium"
PAUSE = 2.0  # seconds between two messages, so that none finds another one under way
STAGES = ("claimed by a worker", "row stored", "told to the page", "shown")
CONNECT = """
import json, sys
from accounts.models import Mailbox
from mailstore import schedule
from organizations.models import User
from protocols.credentials import Secret
given = json.load(sys.stdin)
owner = User.objects.get(email=given["owner"])
box = Mailbox(organization=owner.organization, owner=owner, address=given["user"], display_name="Benchmark",
              imap_host="localhost", imap_port=given["port"], imap_security="none", download_period="everything")
box.password = Secret(given["password"])
box.save()
schedule.ensure(box)
print(box.pk)
"""
# Notes when the page is told of a folder, and when a row with the awaited subject stands in the list.
WATCH = """
(subject) => {
  window.marks = { told: 0, shown: 0 };
  const now = () => performance.timeOrigin + performance.now();
  window.onLive ??= document.addEventListener("live", (event) => {
    if (event.detail.kind === "folder") window.marks.told ||= now();
  }) ?? true;
  const look = () => {
    if (!document.getElementById("rows").textContent.includes(subject)) return;
    window.marks.shown ||= now();
    observer.disconnect();
  };
  const observer = new MutationObserver(look);
  observer.observe(document.getElementById("rows"), { childList: true, subtree: true });
}
"""


class Relay(FaultProxy):
    """Notes when a notice of new mail passes to the client: it comes unasked, alone in its packet."""

    def __init__(self, target: int) -> None:
        self.notices: list[float] = []
        super().__init__(target, Fault())

    def _pass(self, client: socket.socket, data: bytes, fault: Fault) -> None:
        if b" EXISTS\r\n" in data and b"UIDVALIDITY" not in data and b" OK " not in data:
            self.notices.append(time.time())
        super()._pass(client, data, fault)


def main(arguments: list[str]) -> None:
    parser = options(__doc__ or "", rounds=11)
    parser.add_argument("--messages", type=int, default=2_000, help="in the mailbox before (default 2,000)")
    given = parser.parse_args(arguments)
    with ExitStack() as stack:
        server = stack.enter_context(running_dovecot())
        contest = Contest(server, server.new_user(), None, Path("/tmp"))
        fill(contest, mailbox(given.messages, given.seed))
        relay = Relay(server.plain_port)
        stack.callback(relay.stop)
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="es-arrival-", dir="/tmp")))
        ports = f"{relay.port}"
        product = stack.enter_context(
            running_product(state, EMAILSETTINGS_DIAL_NETWORKS="127.0.0.0/8,::1/128", EMAILSETTINGS_DIAL_PORTS=ports)
        )
        pk = connect(product, contest, relay.port)
        wait_until(lambda: watched(product), "watch", seconds=120)
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        stack.callback(browser.close)
        page = browser.new_page()
        sign_in(page, product.url, product.email, product.password)
        page.goto(f"{product.url}/mail/{pk}/")
        page.wait_for_selector("#rows .conversation")
        page.wait_for_timeout(1000)
        rows = [arrival(page, product, contest, relay, number) for number in range(given.rounds + 1)]
    print(f"{given.messages:,} messages before, {given.rounds} arrivals, load {os.getloadavg()[0]:.0f}")
    report(figures(rows[1:]), given.json)  # the first one logs in


def connect(product: Product, contest: Contest, port: int) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in NOT_HANDED_ON}
    environment |= {"EMAILSETTINGS_STATE_DIR": str(product.state)}
    order = {"owner": product.email, "user": contest.user.username, "password": contest.password, "port": port}
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", CONNECT],
        env=environment,
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1])


def asked(product: Product, sql: str) -> tuple[str, ...]:
    with sqlite3.connect(f"file:{product.state / 'emailsettings.sqlite3'}?mode=ro", uri=True) as rows:
        found: tuple[str, ...] = rows.execute(sql).fetchone() or ()
    return found


def watched(product: Product) -> bool:
    synced = asked(product, "SELECT finished_at FROM mailstore_syncschedule WHERE finished_at IS NOT NULL")
    return bool(synced) and asked(product, "SELECT watching FROM mailstore_watcher") == (1,)


def arrival(page: Page, product: Product, contest: Contest, relay: Relay, number: int) -> dict[str, float]:
    """Deliver one message; return milliseconds from the notice to each stage."""
    subject = f"Arrival number {number} of {int(time.time())}"
    raw = f"From: bob@example.org\r\nSubject: {subject}\r\nMessage-ID: <{time.time()}@b>\r\n\r\nHello.\r\n".encode()
    page.evaluate(WATCH, subject)
    relay.notices.clear()
    with contest.log_in() as sock:
        command(sock, b"b APPEND INBOX {%d+}\r\n%b" % (len(raw), raw))
    page.locator("#rows").get_by_text(subject).wait_for(timeout=30_000)
    marks = page.evaluate("window.marks")
    began, _ = asked(product, "SELECT started_at, fence FROM mailstore_syncschedule")
    stored = asked(product, "SELECT at FROM mailstore_arrival ORDER BY id DESC LIMIT 1")[0]
    noticed = relay.notices[0]
    moments = (moment(began), moment(stored), marks["told"] / 1000, marks["shown"] / 1000)
    time.sleep(PAUSE)
    return dict(zip(STAGES, ((each - noticed) * 1000 for each in moments), strict=True))


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def figures(rows: list[dict[str, float]]) -> list[Figure]:
    return [Figure(f"from the notice: {stage}", [row[stage] for row in rows], "ms") for stage in STAGES]


assert tests.environment.ROOT  # it sets the folder of temporary files before the product starts
