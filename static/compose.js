/* The composer: Ctrl+Enter sends, chosen files are listed with their size, those that are too large together are refused
   before they are uploaded, and leaving with typed words asks first. Without this script the form works as a plain form. */

let typed = false;
let leaving = false;

const composer = () => document.querySelector("[data-composer]");

const size = (octets) =>
  octets < 1024 * 1024 ? `${Math.max(1, Math.round(octets / 1024))} KB` : `${(octets / 1024 / 1024).toFixed(1)} MB`;

// Octets that would travel: the chosen files, and those of the original that are ticked.
function travelling(form) {
  const chosen = [...form.elements.attachments.files].reduce((sum, file) => sum + file.size, 0);
  const sizes = JSON.parse(form.dataset.keptSizes || "{}");
  return [...form.querySelectorAll("[name=keep]:checked")].reduce((sum, box) => sum + (sizes[box.value] ?? 0), chosen);
}

const tooLarge = (form) => travelling(form) > Number(form.dataset.sizeLimit);

// The server's words about the files chosen before.
const answered = (input) => document.getElementById(`${input.id}_error`);

function listFiles() {
  const form = composer();
  const list = form?.querySelector("[data-files]");
  if (!list) return;
  const input = form.elements.attachments;
  const lines = [...input.files].map((file) => `${file.name}, ${size(file.size)}`);
  const refused = tooLarge(form) && !answered(input); // said once, not twice
  if (refused) lines.push(`The files are ${size(travelling(form))} together; ${size(Number(form.dataset.sizeLimit))} can be sent. Choose fewer or smaller files, or send a link instead.`);
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

// A reply begins above the quotation.
function placeCaret() {
  const text = composer()?.querySelector("textarea");
  if (!text) return;
  if (document.activeElement === text) text.setSelectionRange(0, 0);
  text.scrollTop = 0;
}

document.addEventListener("input", (event) => {
  if (event.target.closest("[data-composer]")) typed = true;
});

// Signature and language of the spell checking follow the chosen account.
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-composer] [name=mailbox]")) return;
  const form = composer();
  const language = JSON.parse(form.dataset.languages || "{}")[event.target.value];
  if (language) for (const editor of form.querySelectorAll("textarea")) editor.lang = language;
  const part = form.querySelector("[data-signed]");
  const preview = JSON.parse(form.dataset.signatures || "{}")[event.target.value];
  part.hidden = !preview;
  part.querySelector("iframe").src = preview ?? "about:blank";
});

document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-composer] :is(input[type=file], [name=keep])")) return;
  answered(event.target.form.elements.attachments)?.remove();
  listFiles();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  const form = event.target.closest("[data-composer]");
  if (!form) return;
  event.preventDefault();
  if (!form.classList.contains("htmx-request")) form.requestSubmit();
});

document.addEventListener("htmx:afterSettle", (event) => {
  if (!event.target.matches("[data-composer]")) return;
  listFiles();
  composer()?.querySelector("[aria-invalid='true']")?.focus();
});

// What is too large is refused before it is uploaded, and before htmx hears of it.
document.addEventListener(
  "submit",
  (event) => {
    if (!event.target.matches("[data-composer]") || !tooLarge(event.target)) return;
    event.preventDefault();
    event.stopPropagation();
    event.target.elements.attachments.focus();
  },
  { capture: true },
);

document.addEventListener("submit", (event) => {
  if (event.target.matches("[data-composer]")) leaving = true;
});
document.addEventListener("htmx:beforeOnLoad", (event) => {
  if (event.detail.xhr.status === 422) leaving = false;
});

window.addEventListener("beforeunload", (event) => {
  if (typed && !leaving) event.preventDefault();
});

placeCaret();
listFiles();
