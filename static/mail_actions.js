/* What a reader does with mail: buttons in rows, above a conversation and above a selection, and keys. The server shows
   it at once and tells the mail server later; a toast undoes it. What is read is marked as read a moment after it shows. */

const panel = document.getElementById("mail");
const list = document.getElementById("list");
const rows = document.getElementById("rows");
const read = document.getElementById("read");
const bar = document.getElementById("selection");
const narrow = matchMedia("(max-width: 900px)");

const READ_AFTER = 900; // milliseconds
const selected = new Set(); // keys of conversations
const listed = (conversation) => rows?.querySelector(`.listed[data-conversation="${CSS.escape(conversation)}"]`);
const opened = () => read?.querySelector(".mail-bar[data-change]");

// --- What a button or a key is about ------------------------------------------------------------------------------

/* The row of the button, else the selection, else the row with the focus, else what is opened. */
function about(from) {
  const row = from?.closest?.(".listed");
  if (from && row) return { url: list.dataset.change, conversations: [row.dataset.conversation] };
  if (from && read?.contains(from)) return inPane();
  if (selected.size) return { url: list.dataset.change, conversations: [...selected] };
  const focused = document.activeElement?.closest?.(".listed");
  if (focused && list?.dataset.change) return { url: list.dataset.change, conversations: [focused.dataset.conversation] };
  return inPane();
}

function inPane() {
  const head = opened();
  return head && { url: head.dataset.change, conversations: [head.dataset.conversation] };
}

const isStarred = (chosen) => chosen.conversations.every((key) => starsOf(key).some((star) => star.ariaPressed === "true"));
const starsOf = (key) => [...document.querySelectorAll(`[data-conversation="${CSS.escape(key)}"] .star`)];

function act(deed, from) {
  const chosen = about(from);
  if (!chosen?.url) return false;
  const source = from ?? document.body;
  if (deed === "move" || deed === "remove") {
    const query = new URLSearchParams(chosen.conversations.map((key) => ["conversation", key]));
    window.htmx.ajax("GET", `${chosen.url.replace(/change$/, deed)}?${query}`, { target: "#dialog-body", source });
    return true;
  }
  const action = deed === "star" && isStarred(chosen) ? "unstar" : deed;
  post(chosen.url, { action, conversation: chosen.conversations });
  return true;
}

const post = (url, values) => window.htmx.ajax("POST", url, { values, swap: "none", source: document.body });

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-deed]");
  if (button) {
    event.preventDefault();
    act(button.dataset.deed, button);
  }
});

// --- What was done: the page follows at once, news of the server come later --------------------------------------

document.addEventListener("mail:changed", (event) => {
  const { action, away, conversations } = event.detail;
  const keys = conversations.map(String);
  for (const key of keys) show(action, key);
  if (away) leave(keys);
  if (action !== "read") choose([]);
  if (action === "unread" && keys.includes(opened()?.dataset.conversation)) close();
});

function show(action, key) {
  const row = listed(key)?.querySelector(".conversation");
  if (action === "star" || action === "unstar") for (const star of starsOf(key)) star.ariaPressed = String(action === "star");
  if (row && (action === "read" || action === "unread")) row.classList.toggle("unread", action === "unread");
}

function leave(keys) {
  const gone = keys.map(listed).filter(Boolean);
  const focused = gone.find((row) => row.contains(document.activeElement));
  const shown = keys.includes(opened()?.dataset.conversation);
  let next = gone.at(-1)?.nextElementSibling;
  if (!next?.matches(".listed")) next = gone[0]?.previousElementSibling;
  for (const row of gone) row.remove();
  if (shown) close();
  if ((focused || shown) && next?.matches(".listed")) next.querySelector(".conversation").focus();
}

/* Back to the list; a screen with room shows that nothing is opened. */
function close() {
  clearTimeout(timer);
  if (!list) return location.assign(panel.querySelector("#read .to-list")?.href ?? "/mail/");
  history.pushState({ htmx: true }, "", list.dataset.list);
  panel.dataset.pane = "list";
  rows.querySelector(".conversation[aria-current]")?.removeAttribute("aria-current");
  const empty = document.getElementById("nothing-chosen");
  read.replaceChildren(...(empty ? [empty.content.cloneNode(true)] : []));
  if (narrow.matches) document.scrollingElement.scrollTop = 0;
}

// --- Selection ----------------------------------------------------------------------------------------------------

function choose(keys) {
  selected.clear();
  for (const key of keys) selected.add(key);
  draw();
}

function draw() {
  for (const box of rows?.querySelectorAll(".pick input") ?? []) {
    box.checked = selected.has(box.closest(".listed").dataset.conversation);
  }
  if (!bar) return;
  bar.hidden = selected.size === 0;
  bar.querySelector("[data-selected]").textContent = selected.size || "";
}

function toggle(row) {
  const key = row?.dataset.conversation;
  if (!key) return false;
  if (!selected.delete(key)) selected.add(key);
  draw();
  return true;
}

let last = null; // row that was ticked last, where a range begins
rows?.addEventListener("click", (event) => {
  const box = event.target.closest(".pick input");
  if (!box) return;
  const row = box.closest(".listed");
  if (event.shiftKey && last?.isConnected && last !== row) {
    const all = [...rows.querySelectorAll(".listed")];
    const [from, to] = [all.indexOf(last), all.indexOf(row)].sort((a, b) => a - b);
    for (const other of all.slice(from, to + 1)) selected[box.checked ? "add" : "delete"](other.dataset.conversation);
    draw();
  } else {
    toggle(row);
  }
  last = row;
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-select=none]")) choose([]);
});
document.addEventListener("mail:merged", draw);

// --- Read after it was shown --------------------------------------------------------------------------------------

let timer = 0;

function readSoon() {
  clearTimeout(timer);
  timer = setTimeout(markRead, READ_AFTER);
}

function markRead() {
  const head = opened();
  if (!head || document.hidden) return;
  const shown = [...read.querySelectorAll("article.message.unread:not([data-told]), details.message.unread[open]:not([data-told])")];
  if (!shown.length) return;
  for (const message of shown) message.dataset.told = "";
  post(head.dataset.change, { action: "read", message: shown.map((message) => message.id.replace("message-", "")) });
  if (!read.querySelector(".message.unread:not([data-told])")) show("read", head.dataset.conversation);
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target === read || read?.contains(event.target)) readSoon();
});
document.addEventListener("visibilitychange", readSoon);
if (opened()) readSoon();

// --- Keys and the dialog ------------------------------------------------------------------------------------------

const outsideJunk = () => (document.querySelector("[data-deed=not-junk]") ? "not-junk" : "junk");
const outsideTrash = () => (document.querySelector("[data-deed=remove]") ? "remove" : "trash");
const KEYS = {
  e: () => act("archive"),
  "#": () => act(outsideTrash()),
  "!": () => act(outsideJunk()),
  u: () => act("unread"),
  s: () => act("star"),
  v: () => act("move"),
  x: () => toggle(document.activeElement?.closest?.(".listed") ?? rows?.querySelector(".conversation[aria-current]")?.closest(".listed")),
  z: () => (document.querySelector(".toast:not(.leaving) [data-undo]:not([hidden])")?.click(), true),
  Escape: () => selected.size > 0 && (choose([]), true),
};

// Before mail.js: Escape lets go of a selection first.
document.addEventListener(
  "keydown",
  (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const box = event.target.closest?.(".pick input");
    if (!box && event.target.closest?.("input, textarea, select, [contenteditable], dialog, [popover]:popover-open")) return;
    if (KEYS[event.key] && KEYS[event.key]() !== false) event.preventDefault();
  },
  true,
);

document.addEventListener("input", (event) => {
  if (event.target.dataset?.filters) narrowDown(event.target);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.dataset?.filters) return;
  event.preventDefault(); // the first folder that is left, not the first of all
  document.querySelector(`#${event.target.dataset.filters} li:not([hidden]) button`)?.click();
});

function narrowDown(field) {
  const words = field.value.trim().toLowerCase();
  const items = [...document.querySelectorAll(`#${field.dataset.filters} li`)];
  for (const item of items) item.hidden = !item.querySelector("button").title.toLowerCase().includes(words) && !item.textContent.toLowerCase().includes(words);
  field.closest("form").querySelector("[data-none-left]").hidden = items.some((item) => !item.hidden);
}
