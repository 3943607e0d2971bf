/* What every page starts with. htmx itself is configured by the meta element in base.html. */

import "./dialog.js";
import "./live.js";
import "./menu.js";
import "./time.js";
import "./undo.js";
import { csrfToken } from "./csrf.js";
import { toast } from "./toast.js";

document.addEventListener("htmx:configRequest", (event) => {
  const { headers, formData } = event.detail;
  headers["X-CSRFToken"] = csrfToken();
  if (formData.has("csrfmiddlewaretoken")) formData.set("csrfmiddlewaretoken", csrfToken());
});

// A failed request must not pass in silence; what was typed stays where it is.
const SENTENCES = {
  403: "You may not do this. If you signed in or out in another window, reload the page; otherwise an administrator can give you the right.",
  404: "This no longer exists. Somebody may have deleted it; reload the page to see what is there now.",
  413: "This is too large for the server to take.",
  429: "That was too often in a short time. Wait a minute, then try again.",
};

document.addEventListener("htmx:responseError", (event) => {
  const { status } = event.detail.xhr;
  toast(SENTENCES[status] ?? `The server could not do this (it answered ${status}). Nothing you typed is lost; try again.`, "bad");
});
document.addEventListener("htmx:sendError", () => toast("The server cannot be reached. Nothing you typed is lost; try again in a moment.", "bad"));
document.addEventListener("htmx:timeout", () => toast("The server took too long to answer. Nothing you typed is lost; try again.", "bad"));

// A form is sent once: a second press while the answer is awaited would do everything twice. htmx looks after its own.
// Heard last, at the window, when others had their say.
const AWAITED = 30000; // milliseconds; afterwards the answer is given up
const sent = new Map(); // form -> the button that was pressed

window.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (sent.has(form)) return event.preventDefault();
  sent.set(form, event.submitter);
  event.submitter?.setAttribute("aria-busy", "true");
  setTimeout(release, AWAITED, form);
});

function release(form) {
  sent.get(form)?.removeAttribute("aria-busy");
  sent.delete(form);
}

window.addEventListener("pageshow", () => [...sent.keys()].forEach(release)); // back again, by the history
