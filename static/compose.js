/* The composer: Ctrl+Enter sends, chosen files are listed with their size before they are uploaded, and leaving with
   typed words asks first. Without this script the form works as a plain form. */

let typed = false;
let leaving = false;

const composer = () => document.querySelector("[data-composer]");

const size = (octets) =>
  octets < 1024 * 1024 ? `${Math.max(1, Math.round(octets / 1024))} KB` : `${(octets / 1024 / 1024).toFixed(1)} MB`;

function listFiles() {
  const form = composer();
  const input = form?.querySelector("input[type=file]");
  const list = form?.querySelector("[data-files]");
  if (!input || !list) return;
  const limit = Number(form.dataset.sizeLimit); // octets
  const total = [...input.files].reduce((sum, file) => sum + file.size, 0);
  const lines = [...input.files].map((file) => `${file.name}, ${size(file.size)}`);
  if (total > limit) lines.push(`Together ${size(total)}: more than the ${size(limit)} that can be sent. Choose fewer or smaller files.`);
  list.replaceChildren(
    ...lines.map((line, index) => {
      const item = document.createElement("li");
      item.textContent = line;
      if (index === input.files.length) item.className = "too-large";
      return item;
    }),
  );
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

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-composer] input[type=file]")) listFiles();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  const form = event.target.closest("[data-composer]");
  if (!form) return;
  event.preventDefault();
  if (!form.classList.contains("htmx-request")) form.requestSubmit();
});

document.addEventListener("htmx:afterSettle", () => {
  listFiles();
  composer()?.querySelector("[aria-invalid='true']")?.focus();
});

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
