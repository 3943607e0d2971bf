/* The composer: text with formatting or without, drafts that save themselves, files with their sizes; what is too large,
   or promised and not there, is told before anything is sent. Ctrl+Enter sends. Without this script it is a plain form. */

import { autosave, forget, kept, keptBoxes } from "./drafts.js";
import { promised } from "./forgotten.js";
import { richText } from "./rich_text.js";

const ENCODED_LINE = 78 / 57; // base64 on its way: 57 octets make a line of 76 and its end
const RICH = "rich";
const PLAIN = "plain";

let open = null; // {form, editor, drafts}
let typed = false;
let leaving = false;
let sendsWithout = false; // a promised file: the writer has seen the warning

const composer = () => document.querySelector("[data-composer]");
const json = (text) => JSON.parse(text || "{}");

const size = (octets) =>
  octets < 1024 * 1024 ? `${Math.max(1, Math.round(octets / 1024))} KB` : `${(octets / 1024 / 1024).toFixed(1)} MB`;

// The key of the mailbox in From; behind a colon stands which of its addresses.
const mailbox = (form) => form.elements.mailbox.value.split(":")[0];
const isRich = (form) => form.elements.format.value === RICH;

// Sizes ---------------------------------------------------------------------------------------------------------------

// Octets that would travel: the chosen files, and those of the original that are ticked.
function travelling(form) {
  const chosen = [...form.elements.attachments.files].reduce((sum, file) => sum + file.size, 0);
  const sizes = json(form.dataset.keptSizes);
  return [...form.querySelectorAll("[name=keep]:checked")].reduce((sum, box) => sum + (sizes[box.value] ?? 0), chosen);
}

// A sentence about what cannot be sent; "" where all is small enough.
function tooLarge(form) {
  const files = travelling(form);
  const most = Number(form.dataset.sizeLimit);
  if (files > most) return `The files are ${size(files)} together; ${size(most)} can be sent. Choose fewer or smaller files, or send a link instead.`;
  const limit = json(form.dataset.mailLimits)[mailbox(form)];
  const mail = files * ENCODED_LINE + (isRich(form) ? form.elements.html.value.length : form.elements.text.value.length);
  if (!limit || mail <= limit.octets) return "";
  return `The mail would be ${size(mail)} as it travels, where files grow by a third; ${limit.host} takes ${size(limit.octets)}. Choose fewer or smaller files, or send a link instead.`;
}

// The server's words about the files chosen before.
const answered = (input) => document.getElementById(`${input.id}_error`);

function listFiles() {
  const form = composer();
  const list = form?.querySelector("[data-files]");
  if (!list) return;
  const input = form.elements.attachments;
  const lines = [...input.files].map((file) => `${file.name}, ${size(file.size)}`);
  const refused = answered(input) ? "" : tooLarge(form); // said once, not twice
  if (refused) lines.push(refused);
  list.replaceChildren(
    ...lines.map((line, index) => {
      const item = document.createElement("li");
      item.textContent = line;
      if (index === input.files.length) item.className = "too-large";
      return item;
    }),
  );
  if (refused) input.setAttribute("aria-invalid", "true");
  else if (!answered(input)) input.removeAttribute("aria-invalid");
}

// With formatting, or without -------------------------------------------------------------------------------------------

const paragraphs = (text) =>
  text.replace(/\n$/, "").split("\n").map((line) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    return paragraph.outerHTML;
  }).join("");

function show(form, format) {
  const rich = format === RICH;
  form.elements.format.value = format;
  form.dataset.format = format;
  form.querySelector("[data-rich-text]").hidden = !rich;
  form.elements.text.hidden = rich;
  form.querySelector("[data-switch]").textContent = rich ? "Plain text" : "With formatting";
}

function switchFormat() {
  const { form, editor } = open;
  if (isRich(form)) {
    form.elements.text.value = editor.text();
    show(form, PLAIN);
    form.elements.text.focus();
  } else {
    // What has only been looked at as plain text comes back as it was.
    if (form.elements.text.value !== editor.text()) editor.load(paragraphs(form.elements.text.value));
    show(form, RICH);
    editor.focus();
  }
  changed();
}

function setUp(form) {
  open?.editor.destroy();
  open?.drafts.done();
  const copy = leaving || typed ? null : kept(form);
  if (copy) restore(form, copy);
  const wantsPlain = form.elements.format.value === PLAIN && form.elements.text.value !== "";
  const editor = richText(form.elements.html, { root: form.querySelector("[data-rich-text]"), label: "Message", fetchUrl: form.dataset.fetchUrl, onUpdate: changed });
  open = { form, editor, drafts: autosave(form) };
  if (form.elements.attachments.files.length) open.drafts.choseFiles(); // what was refused comes back with its files
  for (const element of form.querySelectorAll("[data-switch]")) element.hidden = false;
  editor.speak(form.elements.text.lang);
  show(form, wantsPlain ? PLAIN : RICH);
  if (copy) form.querySelector("[data-restored]").hidden = false;
  form.querySelector("[data-restored-files]").hidden = keptBoxes(form).length > 0;
  if (form.dataset.kind === "reply" && !form.querySelector("[aria-invalid='true']")) {
    if (isRich(form)) editor.focus("start");
    else form.elements.text.setSelectionRange(0, 0);
  }
  listFiles();
}

// The values that this tab kept, under the key that the saved draft has.
function restore(form, { key, fields }) {
  form.elements.submission_key.value = key;
  for (const [name, value] of Object.entries(fields)) {
    if (name === "keep") tick(form, value);
    else if (form.elements[name]?.type === "checkbox") form.elements[name].checked = value;
    else if (form.elements[name]) form.elements[name].value = value;
  }
  for (const copies of form.querySelectorAll("details")) copies.open ||= Boolean(fields.cc || fields.bcc);
  followMailbox(form);
  typed = true;
}

// Files of the original; those of the draft are as the server has them.
function tick(form, paths) {
  const own = keptBoxes(form);
  for (const box of form.querySelectorAll("[name=keep]")) if (!own.includes(box)) box.checked = paths.includes(box.value);
}

function changed() {
  typed = true;
  open?.drafts.changed();
}

// Signature and language of the spell checking follow the chosen account.
function followMailbox(form) {
  const language = json(form.dataset.languages)[mailbox(form)];
  if (language) {
    for (const area of form.querySelectorAll("textarea")) area.lang = language;
    if (open?.form === form) open.editor.speak(language);
  }
  const part = form.querySelector("[data-signed]");
  const preview = json(form.dataset.signatures)[mailbox(form)];
  part.hidden = !preview;
  part.querySelector("iframe").src = preview ?? "about:blank";
}

// What people do ----------------------------------------------------------------------------------------------------------

document.addEventListener("input", (event) => {
  if (event.target.closest("[data-composer]") && !event.target.closest("[data-no-guard]")) changed();
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-composer]");
  if (!form) return;
  if (event.target.name === "mailbox") followMailbox(form);
  if (event.target.matches("input[type=file][name], [name=keep], [name=mailbox]")) {
    answered(form.elements.attachments)?.remove();
    form.querySelector("[data-forgotten]").hidden = true;
    listFiles();
  }
  if (event.target.matches("input[type=file][name], [name=keep][value^='draft-']")) open?.drafts.choseFiles();
});

document.addEventListener("click", (event) => {
  const form = event.target.closest("[data-composer]");
  if (!form) return;
  if (event.target.closest("[data-switch]")) switchFormat();
  if (event.target.closest("[data-forgotten-choose]")) form.elements.attachments.click();
  if (event.target.closest("[data-forgotten-send]")) sendsWithout = true;
  if (event.target.closest("[data-discard]")) {
    leaving = true;
    forget();
    if (typed) open?.drafts.discard();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  const form = event.target.closest("[data-composer]");
  if (!form) return;
  event.preventDefault();
  if (!form.classList.contains("htmx-request")) form.requestSubmit();
});

// Sending -----------------------------------------------------------------------------------------------------------------

// The word by which a file was promised that is not there; "" where none is.
function forgotten(form) {
  const files = form.elements.attachments.files.length + form.querySelectorAll("[name=keep]:checked").length;
  if (files || form.elements.as_attachment?.checked) return "";
  return promised(`${form.elements.subject.value}\n${isRich(form) ? open.editor.text() : form.elements.text.value}`);
}

// What is too large is refused before it is uploaded, and what is forgotten asked for, before htmx hears of it.
document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    if (!form.matches("[data-composer]")) return;
    const word = sendsWithout ? "" : forgotten(form);
    sendsWithout = false;
    if (!tooLarge(form) && !word) return;
    event.preventDefault();
    event.stopPropagation();
    if (tooLarge(form)) {
      form.elements.attachments.focus();
      return;
    }
    const warning = form.querySelector("[data-forgotten]");
    warning.querySelector("[data-forgotten-word]").textContent = word;
    warning.hidden = false;
    warning.querySelector("[data-forgotten-choose]").focus();
  },
  { capture: true },
);

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-composer]")) return;
  leaving = true;
  open?.drafts.pause();
});
for (const failure of ["htmx:sendError", "htmx:sendAbort", "htmx:timeout", "htmx:responseError"]) {
  document.addEventListener(failure, (event) => event.target.matches?.("[data-composer]") && open?.drafts.resume());
}
document.addEventListener("htmx:beforeOnLoad", (event) => {
  const { xhr } = event.detail;
  const there = xhr.getResponseHeader("HX-Redirect") ?? "";
  if (xhr.status === 422) leaving = false;
  else if (event.target.matches?.("[data-composer]") && there && !there.startsWith(event.target.dataset.signIn)) {
    open?.drafts.done();
    forget(); // it is queued
  }
});

document.addEventListener("htmx:afterSettle", (event) => {
  if (!event.target.matches("[data-composer]")) return;
  setUp(composer());
  composer()?.querySelector("[aria-invalid='true']:not(textarea[hidden])")?.focus();
});

window.addEventListener("beforeunload", (event) => {
  if (typed && !leaving) event.preventDefault();
});

if (composer()) setUp(composer());
