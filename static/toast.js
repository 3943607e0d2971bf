/* Short news at the edge of the page. Servers send HX-Trigger {"toast": {"text": "...", "kind": "good"}}; modules call toast().
   With "undo": an address, the toast has a button that posts there. */

const STAYS = 7000; // milliseconds; problems stay until they are dismissed
const region = document.getElementById("toasts");

export function toast(text, kind = "info", undo = "") {
  const template = document.getElementById(`toast-${kind}`) ?? document.getElementById("toast-info");
  const element = template.content.firstElementChild.cloneNode(true);
  element.querySelector("p").textContent = text;
  const button = element.querySelector("[data-undo]");
  button.hidden = !undo;
  button.addEventListener("click", () => {
    leave(element);
    window.htmx.ajax("POST", undo, { swap: "none", source: document.body });
  });
  for (const other of region.children) if ((undo && other.querySelector("[data-undo]:not([hidden])")) || words(other) === words(element)) other.remove();
  region.append(element);
  raise();
  welcome(element);
}

const words = (element) => element.querySelector("p").textContent.trim();

// A modal dialog covers everything outside the top layer and makes it inert, so the toasts move into it.
export function raise() {
  const modal = [...document.querySelectorAll("dialog:modal")].at(-1);
  (modal ?? document.body).append(region);
}

function welcome(element) {
  element.querySelector("[data-dismiss]").addEventListener("click", () => leave(element));
  if (element.classList.contains("bad")) return;
  let timer = setTimeout(leave, STAYS, element);
  for (const begin of ["pointerenter", "focusin"]) element.addEventListener(begin, () => clearTimeout(timer));
  for (const end of ["pointerleave", "focusout"]) {
    element.addEventListener(end, () => {
      clearTimeout(timer);
      timer = setTimeout(leave, STAYS, element);
    });
  }
}

function leave(element) {
  element.classList.add("leaving");
  setTimeout(() => element.remove(), 240);
}

document.addEventListener("toast", (event) => toast(event.detail.text, event.detail.kind, event.detail.undo));
document.querySelectorAll("#toasts > [data-toast]").forEach(welcome);
