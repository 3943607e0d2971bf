/* Elements that follow their row: <article data-live="mailbox:12" data-live-url="/mailboxes/12/card">.

   /events announces {kind, pk}; each element that names it (several names: separated by spaces) fetches its url and
   replaces itself, soon and at most once per pause; with data-live-first at once, where somebody waits for what is new.
   Announcements may be lost: whenever the stream begins again, everything is fetched once. data-live-gone: where to go
   when the row is gone; data-live-panel: the mailbox that a mail panel shows, whose end of rights the stream tells. A
   hidden page lets go of its connection, since browsers keep only six per server. */

import { toast } from "./toast.js";

const PAUSE = 250; // milliseconds
const waiting = new Map(); // element -> timer
const fetched = new Map(); // id of an element -> when it was last fetched
let source = null;
let interrupted = false;

const followers = (name) => document.querySelectorAll(name ? `[data-live~="${CSS.escape(name)}"]` : "[data-live]");

function soon(element, pause = rest(element)) {
  if (!waiting.has(element)) waiting.set(element, setTimeout(refetch, pause, element));
}

// What is left of the pause since it was last fetched: the first of several announcements need not wait.
function rest(element) {
  if (!("liveFirst" in element.dataset)) return PAUSE;
  return Math.max(0, (fetched.get(element.id) ?? -PAUSE) + PAUSE - performance.now());
}

async function refetch(element) {
  waiting.delete(element);
  if (!element.isConnected) {
    const successor = element.id && document.getElementById(element.id); // it was replaced while this one waited
    return successor?.dataset.live ? soon(successor) : undefined;
  }
  if (element.id) fetched.set(element.id, performance.now());
  const choosing = element.querySelector("details:is([data-menu], [data-asks])[open], [data-ticks] input:not(:checked)");
  if (choosing) return soon(element, 1000); // somebody is about to press what would be replaced, or has chosen
  element.dispatchEvent(new CustomEvent("live:ask", { bubbles: true })); // the last word on what to ask for
  let answer;
  try {
    answer = await fetch(element.dataset.liveUrl, { headers: { "HX-Request": "true" } });
  } catch {
    return; // the next announcement, or the next connection, asks again
  }
  if (answer.headers.has("HX-Redirect")) return signedOut();
  if (answer.headers.has("HX-Refresh")) return location.reload(); // the page is another one now
  if (answer.status === 404) return gone(element);
  if (!answer.ok) return;
  const place = focusedPlace(element);
  const successor = place && { id: element.id };
  window.htmx.swap(element, await answer.text(), { swapStyle: "outerHTML" });
  if (successor?.id) focusables(document.getElementById(successor.id))[place.index]?.focus();
}

/* The row is there no more, or the right to it has ended. With data-live-gone, so is all that stands around it. */
function gone(element) {
  if (element.dataset.liveGone) location.assign(element.dataset.liveGone);
  else element.remove();
}

// No reload: somebody may be typing, and a sign-in in another window is enough to go on.
function signedOut() {
  release();
  toast("You are signed out. Sign in again in another window, then go on here; what you typed stays.", "bad");
}

// The focus survives: it goes to the same control of the new element (htmx looks after those with an id).
const focusables = (element) => [...(element?.querySelectorAll("a[href], button, summary, input, select, textarea") ?? [])];
function focusedPlace(element) {
  const index = focusables(element).indexOf(document.activeElement);
  return index < 0 || document.activeElement.id ? null : { index };
}

function connect() {
  if (source || document.hidden || followers().length === 0) return;
  const panel = document.querySelector("[data-live-panel]")?.dataset.livePanel; // what the stream looks after for us
  source = new EventSource(panel ? `/events?panel=${encodeURIComponent(panel)}` : "/events");
  source.addEventListener("open", () => {
    if (interrupted) for (const element of followers()) soon(element);
    interrupted = false;
  });
  source.addEventListener("error", () => {
    interrupted = true;
    if (source?.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    source = null;
    setTimeout(connect, 10000);
  });
  source.addEventListener("message", (event) => {
    const { kind, pk } = JSON.parse(event.data);
    for (const element of followers(`${kind}:${pk}`)) soon(element);
    document.dispatchEvent(new CustomEvent("live", { detail: { kind, pk } }));
  });
}

function release() {
  source?.close();
  source = null;
  interrupted = true;
}

document.addEventListener("visibilitychange", () => (document.hidden ? release() : connect()));
document.addEventListener("htmx:afterSettle", connect);
window.addEventListener("pagehide", release);
window.addEventListener("pageshow", connect);
connect();
