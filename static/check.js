/* Checks that show each step as it happens, and one-click fixes.

   A form with data-check="URL" posts its values there when its [data-check-start] button is pressed, or when it is
   submitted and has neither hx-post nor data-saves. The answer is one JSON object a line (see mailservers/streaming.py), shown
   in the form's [data-check-result]. Anything else is HTML for the place where the form stands: a form with errors
   comes back that way, and keeps the passwords that were typed.
   data-fill='{"port": "465"}' puts values into the form and checks again. */

import { csrfToken } from "./csrf.js";
import "./ports.js";
import { toast } from "./toast.js";

const running = new WeakMap(); // form -> AbortController
const place = (form) => form.querySelector("[data-check-result]");

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-check-start], [data-fill], [data-copy]");
  if (button?.matches("[data-copy]")) return copy(button);
  const form = button?.closest("form");
  if (!form) return;
  if (button.matches("[data-fill]")) fill(form, JSON.parse(button.dataset.fill));
  check(form, starter(form));
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.check || form.hasAttribute("hx-post") || "saves" in form.dataset) return;
  event.preventDefault();
  check(form, starter(form));
});

// A verdict about other values than those in the form says so.
document.addEventListener("input", (event) => {
  const result = event.target.form && place(event.target.form);
  if (!result?.querySelector("[data-check-verdict]") || result.querySelector("[data-check-stale]")) return;
  const note = document.createElement("p");
  note.className = "muted small";
  note.dataset.checkStale = "";
  note.textContent = "You have changed something since this check.";
  result.prepend(note);
});

const starter = (form) => form.querySelector("[data-check-start]") ?? form.querySelector("[type=submit]");

async function check(form, button) {
  running.get(form)?.abort();
  const control = new AbortController();
  running.set(form, control);
  const leave = () => control.abort();
  form.closest("dialog")?.addEventListener("close", leave, { once: true });
  busy(form, button, true);
  try {
    const answer = await fetch(form.dataset.check, {
      method: "POST",
      body: new FormData(form),
      headers: { "X-CSRFToken": csrfToken(), "HX-Request": "true", Accept: "application/x-ndjson, text/html" },
      signal: control.signal,
    });
    if (answer.redirected || answer.headers.has("HX-Redirect")) return location.reload(); // signed out meanwhile
    if (answer.headers.get("Content-Type")?.startsWith("application/x-ndjson")) await show(form, answer);
    else if (answer.ok || answer.status === 422) swap(form, await answer.text());
    else refused(answer.status);
  } catch (error) {
    if (error.name !== "AbortError") toast("The connection to this page's server broke. Nothing you typed is lost; try again.", "bad");
  } finally {
    form.closest("dialog")?.removeEventListener("close", leave);
    place(form)?.querySelector("[data-check-running]")?.remove();
    if (running.get(form) === control) busy(form, button, false);
  }
}

function busy(form, button, is) {
  if (!button) return;
  button.disabled = is;
  button.toggleAttribute("aria-busy", is);
  if (is) button.setAttribute("aria-busy", "true");
}

const refused = (status) =>
  toast(status === 403 ? "You may not do this; ask an administrator for the right." : `The server could not do this (it answered ${status}). Nothing you typed is lost.`, "bad");

async function show(form, answer) {
  const result = place(form);
  result.replaceChildren();
  forgetErrors(form);
  for await (const line of lines(answer.body)) {
    if (line.begin) result.insertAdjacentHTML("beforeend", line.begin);
    const part = [...result.querySelectorAll("[data-check-part]")].at(-1);
    const wheel = part?.querySelector("[data-check-running]");
    if (line.step) wheel?.insertAdjacentHTML("beforebegin", line.step);
    if (line.end) {
      wheel?.remove();
      const list = part?.querySelector("[data-check-steps]");
      if (list && !list.children.length) list.remove();
      (part ?? result).insertAdjacentHTML("beforeend", line.end);
      window.htmx.process(result);
    }
    if (line.trigger) for (const [name, detail] of Object.entries(line.trigger)) document.dispatchEvent(new CustomEvent(name, { detail }));
    if (line.go) location.assign(line.go);
    follow(result);
  }
}

// The values were taken, so what was wrong with earlier ones no longer stands beside the fields.
function forgetErrors(form) {
  for (const error of form.querySelectorAll(".field .error")) error.remove();
  for (const control of form.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    const described = (control.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => document.getElementById(id));
    if (described.length) control.setAttribute("aria-describedby", described.join(" "));
    else control.removeAttribute("aria-describedby");
  }
}

// Keep what just happened in view, without pulling the page away from somebody who scrolled.
function follow(result) {
  result.lastElementChild?.lastElementChild?.scrollIntoView({ block: "nearest" });
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const pieces = (rest + value).split("\n");
    rest = pieces.pop();
    for (const piece of pieces) if (piece) yield JSON.parse(piece);
  }
}

function swap(form, html) {
  const wanted = form.getAttribute("hx-target");
  const target = wanted ? document.querySelector(wanted) : form;
  const kept = secrets(target);
  window.htmx.swap(target, html, { swapStyle: wanted ? "innerHTML" : "outerHTML" });
  restore(kept);
  (wanted ? target : document).querySelector("[aria-invalid='true']")?.focus();
}

function fill(form, values) {
  for (const [name, value] of Object.entries(values)) {
    const control = form.elements[name];
    if (!control) continue;
    control.value = value; // a RadioNodeList checks the button with this value
    const changed = control instanceof RadioNodeList ? [...control].find((radio) => radio.checked) : control;
    changed?.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

async function copy(button) {
  const source = button.parentElement.querySelector("[data-copy-source]");
  try {
    await navigator.clipboard.writeText(source.textContent);
    toast("Copied.", "good");
  } catch {
    getSelection().selectAllChildren(source); // without HTTPS the browser lets people copy only by hand
    toast("Press Ctrl+C to copy the marked text.", "info");
  }
}

/* Servers never send a typed password back, so it is carried over when its form is drawn again. */
const secrets = (root) => [...(root?.querySelectorAll("input[type=password]") ?? [])].filter((input) => input.value).map(({ id, value }) => [id, value]);
function restore(kept) {
  for (const [id, value] of kept) {
    const input = document.getElementById(id);
    if (input && !input.value) input.value = value;
  }
}

// A dialog's form that was opened by its plain address has no dialog to close: its way out leads back.
document.addEventListener("click", (event) => {
  const way = event.target.closest("[data-closes-dialog]");
  if (way && !way.closest("dialog")) document.querySelector("main a.back")?.click();
});

// What cannot work is not offered: a form that holds [data-obstacle] is neither checked nor saved.
document.addEventListener("htmx:load", (event) => {
  const form = event.target.closest?.("form") ?? event.target.querySelector?.("form[data-check]");
  if (!form?.dataset.check) return;
  const blocked = form.querySelector("[data-obstacle]") !== null;
  for (const button of form.querySelectorAll("[data-check-start], [type=submit]")) button.disabled = blocked;
});

let carried = [];
document.addEventListener("htmx:beforeSwap", (event) => {
  carried = event.detail.requestConfig?.elt?.closest("form") ? secrets(event.detail.target) : []; // `elt` is the target here
});
document.addEventListener("htmx:afterSwap", () => {
  restore(carried);
  carried = [];
});
