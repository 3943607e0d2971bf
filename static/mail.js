/* The mail panel: which pane shows, news merged into the list, keys, and the height of frames. Works without, too. */

const panel = document.getElementById("mail");
const rows = document.getElementById("rows");
const read = document.getElementById("read");
const narrow = matchMedia("(max-width: 900px)");

// --- Panes: wide screens show all of them, narrow ones the one that data-pane names -------------------------------

const rowsOf = (root) => [...(root?.querySelectorAll(".conversation") ?? [])];
const current = () => rows?.querySelector(".conversation[aria-current]");

function markCurrent(row) {
  current()?.removeAttribute("aria-current");
  row?.setAttribute("aria-current", "true");
}

function showList() {
  panel.dataset.pane = "list";
  const row = current();
  row?.scrollIntoView({ block: "nearest" });
  row?.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  if (event.target.closest(".to-folders")) {
    panel.dataset.pane = "folders";
    panel.querySelector(".mail-folders a[aria-current], .mail-folders a")?.focus();
  } else if (event.target.closest(".mail-folders .to-list")) {
    panel.dataset.pane = "list";
    panel.querySelector(".to-folders").focus();
  } else if (rows && event.target.closest(".mail-read .to-list") && !event.ctrlKey && !event.metaKey) {
    event.preventDefault(); // the list is there already, scrolled to where it was
    history.pushState({ htmx: true }, "", rows.parentElement.dataset.list);
    showList();
  }
});

document.addEventListener("htmx:beforeRequest", (event) => {
  const row = event.target.closest?.(".conversation");
  if (row) markCurrent(row);
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target !== read) return;
  panel.dataset.pane = "read";
  (narrow.matches ? window : read).scrollTo(0, 0);
  if (narrow.matches) read.focus({ preventScroll: true });
  toAsked();
});

/* An address may ask for one message of a conversation. Only its pane moves, or on narrow screens the page. */
function toAsked() {
  const asked = new URLSearchParams(location.search).get("message");
  const message = asked && document.getElementById(`message-${Number(asked)}`);
  if (!message?.previousElementSibling) return;
  const scroller = narrow.matches ? document.scrollingElement : read;
  scroller.scrollTop += message.getBoundingClientRect().top - (narrow.matches ? 124 : 72);
}

// --- News: the newest page comes by live.js and takes its place in the list ---------------------------------------

const place = (row) => row.dataset.place.split("-").map(BigInt);

function isBelow(row, last) {
  const [at, pk] = place(row);
  const [lastAt, lastPk] = place(last);
  return at < lastAt || (at === lastAt && pk < lastPk);
}

/* Rows that are here as they are there come as their state alone. One that was changed here meanwhile has left, or
   follows with the next news. */
function filled(template) {
  return [...template.content.children].flatMap((listed) => {
    if (!listed.dataset.same) return listed.matches(".listed") ? [listed] : [];
    return rows.querySelector(`:scope > [data-state="${CSS.escape(listed.dataset.same)}"]`) ?? [];
  });
}

function merge(template) {
  const line = (listed) => listed.querySelector(".conversation");
  const first = filled(template);
  const last = first.at(-1);
  const known = new Set(first.map((listed) => line(listed).id));
  const kept = last ? rowsOf(rows).filter((row) => !known.has(row.id) && isBelow(row, line(last))) : [];
  const opened = current()?.id;
  const focused = document.activeElement?.closest?.(".conversation")?.id;
  const scroller = rows.parentElement;
  const anchor = scroller.scrollTop > 8 ? rowsOf(rows).find((row) => row.getBoundingClientRect().bottom > scroller.getBoundingClientRect().top) : null;
  const before = anchor?.getBoundingClientRect().top;

  const older = kept.length ? rows.querySelector(".older") : template.content.querySelector(".older, .empty");
  const come = first.filter((listed) => !rows.contains(listed));
  arrange([...first, ...kept.map((row) => row.closest(".listed")), ...(older ? [older] : [])]);
  for (const listed of come) window.htmx.process(listed);
  if (older && !kept.length) window.htmx.process(older);
  document.dispatchEvent(new CustomEvent("mail:merged")); // mail_actions.js ticks again what was selected

  const now = anchor && document.getElementById(anchor.id);
  if (now) scroller.scrollTop += now.getBoundingClientRect().top - before;
  markCurrent(opened && document.getElementById(opened));
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

// Only what is new moves: what stays where it is need not be laid out again.
function arrange(wanted) {
  let next = rows.firstElementChild;
  for (const element of wanted) {
    if (element === next) next = next.nextElementSibling;
    else rows.insertBefore(element, next);
  }
  const stays = new Set(wanted);
  for (const element of [...rows.children]) if (!stays.has(element)) element.remove();
}

document.addEventListener("live:ask", (event) => {
  if (event.target.id !== "newest" || !rows) return;
  const url = new URL(event.target.dataset.liveUrl, location.href);
  const first = [...rows.querySelectorAll(":scope > [data-state]:not([data-touched])")].slice(0, 50);
  url.searchParams.set("has", first.map((listed) => listed.dataset.state).join("."));
  event.target.dataset.liveUrl = `${url.pathname}${url.search}`;
});

document.addEventListener("htmx:load", (event) => {
  const root = event.detail.elt;
  if (root.id === "newest" && rows) {
    const template = root.querySelector("template");
    if (template) merge(template);
    template?.remove();
  }
  dress(root);
});

// --- Frames: no script runs in them, so their height is a guess that the reader may correct -----------------------

function dress(root) {
  for (const frame of root.querySelectorAll?.("iframe[data-height]") ?? []) frame.style.height = `${Number(frame.dataset.height)}px`;
  for (const button of root.querySelectorAll?.("[data-taller]") ?? []) button.hidden = false;
}

document.addEventListener("click", (event) => {
  const frame = event.target.closest("[data-taller]")?.parentElement.querySelector("iframe");
  if (frame) frame.style.height = `${Math.min(20000, frame.offsetHeight + Math.max(400, innerHeight * 0.8))}px`;
});

// --- Keys ---------------------------------------------------------------------------------------------------------

function step(by) {
  const all = rowsOf(rows);
  const at = all.indexOf(document.activeElement.closest?.(".conversation") ?? current());
  const next = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function back() {
  if (narrow.matches) {
    if (rows && panel.dataset.pane !== "list") panel.querySelector(`.${panel.dataset.pane === "read" ? "mail-read" : "mail-folders"} .to-list`)?.click();
  } else {
    if (panel.dataset.pane === "folders") panel.dataset.pane = "list";
    (current() ?? rowsOf(rows)[0])?.focus();
  }
}

const inList = () => !document.activeElement || document.activeElement === document.body || document.activeElement.matches(".conversation, #main");
const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  ArrowDown: () => inList() && (step(1), true),
  ArrowUp: () => inList() && (step(-1), true),
  Escape: back,
  "/": () => document.getElementById("search")?.select(),
  r: () => panel.querySelector("#read [data-key=r]")?.click(),
  c: () => (panel.querySelector("[data-key=c]") ?? document.querySelector("[data-key=c]"))?.click(),
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const typing = event.target.closest?.("input, textarea, select, [contenteditable], dialog, [popover]:popover-open");
  if (typing) {
    if (event.key === "Escape" && event.target.id === "search") event.target.blur();
    return;
  }
  if (event.key === "Escape" && document.querySelector("details[data-menu][open]")) return;
  if (KEYS[event.key] && KEYS[event.key]() !== false) event.preventDefault();
});

dress(document);
toAsked();
if (!narrow.matches) current()?.scrollIntoView({ block: "nearest" });
