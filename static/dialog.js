/* The one dialog of the page.

   It opens when a fragment arrives in #dialog-body (hx-target="#dialog-body"), puts the focus where work begins, asks
   before it throws typed words away, and gives the focus back to whatever opened it. Servers close it with the
   HX-Trigger "dialog:close"; buttons with data-closes-dialog. */

import { raise } from "./toast.js";

const dialog = document.getElementById("dialog");
const body = document.getElementById("dialog-body");
const discard = document.getElementById("discard");

let opener = null; // the element that asked for the dialog, or null
let openerKey = ""; // how to find its successor when the card it stood in was drawn again
let dirty = false;

const OPENER = "[data-opens-dialog], [hx-target='#dialog-body']";
const key = (element) => element.id || element.getAttribute("hx-get") || element.getAttribute("hx-post") || "";

document.addEventListener("htmx:beforeRequest", (event) => {
  const asked = event.detail.elt.closest(OPENER);
  if (asked && !dialog.contains(asked)) {
    opener = asked;
    openerKey = key(asked);
  }
});

document.addEventListener("htmx:afterSettle", (event) => {
  if (!dialog.contains(event.detail.target)) return;
  if (event.detail.target === body && !dialog.open) open();
  else place();
});

function open() {
  dirty = false;
  dialog.showModal();
  raise();
  place();
  if (document.activeElement?.matches("[data-closes-dialog]")) firstField()?.focus(); // where showModal() put it
}

// Where work begins: the first field that is wrong, the field that asks for it, else the first one.
function place() {
  const wish =
    body.querySelector("[aria-invalid='true']:not([disabled])") ??
    body.querySelector("[autofocus]") ??
    (dialog.contains(document.activeElement) && document.activeElement !== dialog ? null : first());
  wish?.focus({ preventScroll: false });
}

const firstField = () => body.querySelector(":is(input, select, textarea):not([type='hidden'], [disabled])");

const first = () =>
  firstField() ??
  body.querySelector("button:not([disabled], [data-closes-dialog])") ??
  body.querySelector("[data-closes-dialog]");

export async function close({ force = false } = {}) {
  if (!dialog.open) return;
  if (!force && dirty && !(await mayDiscard())) return;
  dirty = false;
  dialog.close();
}

function mayDiscard() {
  discard.returnValue = "keep";
  discard.showModal();
  return new Promise((resolve) => {
    discard.addEventListener("close", () => resolve(discard.returnValue === "discard"), { once: true });
  });
}

dialog.addEventListener("close", (event) => {
  if (event.target !== dialog) return;
  raise();
  body.replaceChildren();
  dialog.className = "dialog";
  successor()?.focus();
  opener = null;
});

const successor = () =>
  opener?.isConnected
    ? opener
    : [...document.querySelectorAll(OPENER)].find((element) => openerKey && key(element) === openerKey) ?? document.getElementById("main");

const touched = (event) => {
  if (event.target.form && !event.target.closest("[data-no-guard]")) dirty = true;
};
body.addEventListener("input", touched);
body.addEventListener("change", touched);

// Escape: the keydown is stopped, since a second "cancel" in a row cannot be.
dialog.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  event.preventDefault();
  close();
});
dialog.addEventListener("cancel", (event) => {
  if (event.target !== dialog) return;
  event.preventDefault();
  close();
});
dialog.addEventListener("click", (event) => {
  if (event.target.closest("[data-closes-dialog]")) close();
});
// A press that begins and ends on the backdrop; a drag that only ends there is somebody selecting text.
let pressedOutside = false;
dialog.addEventListener("pointerdown", (event) => (pressedOutside = event.target === dialog));
dialog.addEventListener("pointerup", (event) => {
  if (pressedOutside && event.target === dialog) close();
});

document.addEventListener("dialog:close", () => close({ force: true }));
window.addEventListener("beforeunload", (event) => {
  if (dialog.open && dirty) event.preventDefault();
});
