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
const every = (root, selector) => [...(root?.querySelectorAll(selector) ?? [])];
const opened = () => read?.querySelector(".mail-bar[data-change]");

// --- What a button or a key is about ------------------------------------------------------------------------------

/* The row of the button, else the selection, else the row with the focus, else what is opened. A row of a folder's list
   stands for a conversation there; one that a search found for a single message, and says itself where that is changed. */
function about(from) {
  const row = from?.closest?.(".listed");
  if (from && row) return ofRow(row);
  if (from && read?.contains(from)) return inPane();
  if (selected.size) return { url: list.dataset.change, conversations: [...selected] };
  return ofRow(document.activeElement?.closest?.(".listed")) ?? inPane();
}

function ofRow(row) {
  if (row?.dataset.change) return { url: row.dataset.change, messages: [row.dataset.message], row };
  return row && list?.dataset.change && { url: list.dataset.change, conversations: [row.dataset.conversation], row };
}

function inPane() {
  const head = opened();
  return head && { url: head.dataset.change, conversations: [head.dataset.conversation] };
}

/* The rows of a list that show these messages, or conversations of the folder. */
function rowsAbout({ conversations = [], messages = [] }) {
  const [chosen, named] = [new Set(conversations.map(String)), new Set(messages.map(String))];
  return every(rows, ".listed").filter(({ dataset }) => (dataset.message ? named.has(dataset.message) : chosen.has(dataset.conversation)));
}

function starsOf(about) {
  const head = opened();
  const inPane = head && about.conversations?.map(String).includes(head.dataset.conversation) ? [head] : [];
  return [...rowsAbout(about), ...inPane].flatMap((place) => every(place, ".star"));
}

const all = (elements, test) => elements.length > 0 && elements.every(test);
const isStarred = (chosen) => all(starsOf(chosen), (star) => star.ariaPressed === "true");
const isUnread = (chosen) => all(rowsAbout(chosen), (row) => row.querySelector(".conversation.unread"));

function act(deed, from) {
  const chosen = about(from);
  if (!chosen?.url) return false;
  const source = from ?? document.body;
  const { conversations = [], messages = [] } = chosen;
  if (deed === "move" || deed === "remove") {
    const query = new URLSearchParams([...conversations.map((key) => ["conversation", key]), ...messages.map((key) => ["message", key])]);
    window.htmx.ajax("GET", `${chosen.url.replace(/change$/, deed)}?${query}`, { target: "#dialog-body", source });
    return true;
  }
  const action = deed === "star" && isStarred(chosen) ? "unstar" : deed;
  post(chosen.url, { action, conversation: conversations, message: messages });
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
  const { action, away, conversations, place } = event.detail;
  remember(event.detail);
  show(action, event.detail);
  if (away && place) for (const row of rowsAbout(event.detail).filter(isFound)) lie(row, event.detail);
  if (away) leave(event.detail, place);
  if (action !== "read") choose([]);
  if (action === "unread" && conversations.map(String).includes(opened()?.dataset.conversation)) close();
});

function show(action, about) {
  for (const row of rowsAbout(about)) row.dataset.touched = ""; // no longer as the server had drawn it
  if (action === "star" || action === "unstar") for (const star of starsOf(about)) star.ariaPressed = String(action === "star");
  if (action !== "read" && action !== "unread") return;
  for (const row of rowsAbout(about)) row.querySelector(".conversation").classList.toggle("unread", action === "unread");
}

const isFound = (row) => "message" in row.dataset;

/* What a search found stays in its list where the new folder is searched as well. */
function lie(row, { place, change, use }) {
  row.querySelector(".place bdi").textContent = place;
  row.dataset.change = change;
  row.dataset.use = use;
}

function leave(about, place) {
  const gone = rowsAbout(about).filter((row) => !(place && isFound(row)));
  const focused = gone.find((row) => row.contains(document.activeElement));
  const current = gone.find((row) => isFound(row) && row.querySelector("[aria-current]"));
  const shown = current || about.conversations.map(String).includes(opened()?.dataset.conversation);
  let next = gone.at(-1)?.nextElementSibling;
  if (!next?.matches(".listed")) next = gone[0]?.previousElementSibling;
  for (const row of gone) row.remove();
  if (shown) close();
  if ((focused || shown) && next?.matches(".listed")) next.querySelector(".conversation").focus();
}

// Nobody tells the list of a search anew, as live news do for a folder's: undoing puts rows back as they were.
const before = new Map(); // batch -> [row, row as it was, the row after it]

function remember(detail) {
  const found = rowsAbout(detail).filter(isFound);
  before.set(detail.batch, found.map((row) => [row, row.cloneNode(true), row.nextElementSibling]).reverse());
}

document.addEventListener("mail:undone", (event) => {
  for (const [row, was, next] of before.get(event.detail.batch) ?? []) {
    if (row.isConnected) row.replaceWith(was);
    else if (next?.isConnected) next.before(was);
    else rows.append(was);
    was.querySelector("[aria-current]")?.removeAttribute("aria-current");
    window.htmx.process(was);
  }
  before.delete(event.detail.batch);
});

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
  if (!read.querySelector(".message.unread:not([data-told])")) show("read", inPane());
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target === read || read?.contains(event.target)) readSoon();
});
document.addEventListener("visibilitychange", readSoon);
if (opened()) readSoon();

// --- Keys and the dialog ------------------------------------------------------------------------------------------

/* By what the folder is for; a list of found messages has rows of many. */
const lies = (use) => (document.activeElement?.closest?.(".listed")?.dataset.use ?? opened()?.dataset.use ?? list?.dataset.use) === use;
const KEYS = {
  e: () => act("archive"),
  "#": () => act(lies("trash") || lies("junk") ? "remove" : "trash"),
  "!": () => act(lies("junk") ? "not-junk" : "junk"),
  u: () => act(isUnread(about() ?? {}) ? "read" : "unread"),
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
