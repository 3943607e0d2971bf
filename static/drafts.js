/* What is typed into the composer is saved as it grows: on the server, and in this tab for when the server cannot be
   reached or the session has ended. A reload, or the way back after signing in again, finds it. Chosen files are kept
   on the server alone; they travel out of the page all the same, where it still has them. */

import { csrfToken } from "./csrf.js";

const SOON = 2500; // milliseconds after the last change
const LARGE = 500_000; // characters: with pictures inside, less often
const LATER = 20_000;
const LEFT_OUT = new Set(["csrfmiddlewaretoken", "offered", "attachments", "submission_key", "next", "send_at"]);

const place = () => `composer:${location.pathname}`;
const key = (form) => form.elements.submission_key.value;
const uploaded = new Map(); // paths of the files that stand in the file field, as the server keeps them, by draft

/** The values of `form` by name; files are none of them. */
function values(form) {
  const fields = {};
  for (const [name, value] of new FormData(form)) {
    if (LEFT_OUT.has(name) || value instanceof File) continue;
    if (name === "keep") (fields.keep ??= []).push(value);
    else fields[name] = value;
  }
  for (const box of form.querySelectorAll("input[type=checkbox]:not([name=keep])")) fields[box.name] = box.checked;
  fields.keep ??= [];
  return fields;
}

// drafts: the address of the page where some can be discarded, where that is the cure.
function tell(form, words, drafts = "") {
  const line = form.querySelector("[data-saved]");
  if (!line || line.dataset.words === words) return;
  line.dataset.words = words;
  line.textContent = words;
  if (!drafts) return;
  const link = document.createElement("a");
  Object.assign(link, { className: "link", href: drafts, target: "_blank", textContent: "Open the drafts" });
  line.append(" ", link);
}

export function forget() {
  sessionStorage.removeItem(place());
}

/** What this tab kept for the page, where it is another text than what the server gave: {key, fields}, or null. */
export function kept(form) {
  const stored = sessionStorage.getItem(place());
  if (!stored) return null;
  const copy = JSON.parse(stored);
  const isNew = !new URLSearchParams(location.search).has("draft");
  return isNew || copy.key === key(form) ? copy : null;
}

/** The files of the draft that the page shows, as boxes to tick. */
export const keptBoxes = (form) => [...form.querySelectorAll("[name=keep][value^='draft-']")];

/** Save `form` whenever it was changed, until `done()` is called. Returns {changed, choseFiles, pause, resume, discard, done}.

    Between `pause()` and `resume()`, while the mail is being sent, nothing is saved: it could come after the mail. */
export function autosave(form) {
  let hasNewFiles = false;
  let isFull = false;
  let timer = 0;
  let isDone = false;
  let isPaused = false;
  let running = null;
  let abort = null;

  function changed() {
    if (isDone) return;
    const fields = values(form);
    try {
      sessionStorage.setItem(place(), JSON.stringify({ key: key(form), fields }));
    } catch {
      // too large for this browser's store: the server has it
    }
    clearTimeout(timer);
    if (!isPaused) timer = setTimeout(save, (fields.html?.length ?? 0) > LARGE ? LATER : SOON);
  }

  async function save() {
    clearTimeout(timer);
    if (isDone || isPaused) return;
    if (running) {
      timer = setTimeout(save, SOON);
      return;
    }
    tell(form, "Saving");
    running = send(values(form));
    const words = await running;
    running = null;
    if (!isDone && !isPaused) tell(form, words, isFull ? form.dataset.draftsUrl : "");
  }

  async function send(fields) {
    abort = new AbortController();
    isFull = false;
    try {
      const answer = await fetch(`${form.dataset.draftsUrl}/${key(form)}`, {
        method: "POST",
        signal: abort.signal,
        redirect: "manual",
        headers: { "X-CSRFToken": csrfToken(), "Content-Type": "application/json" },
        body: JSON.stringify({ kind: form.dataset.kind, original: Number(form.dataset.original) || null, fields }),
      });
      if (answer.ok) {
        const address = new URL(location.href);
        address.searchParams.set("draft", key(form));
        if (!isDone) history.replaceState(history.state, "", address);
        return hasNewFiles ? await sendFiles() : "Draft saved";
      }
      if (answer.type === "opaqueredirect" || answer.status === 403) return "Not saved: you are signed out. Sign in in another tab, then go on here; nothing is lost.";
      if (answer.status === 409) return "Not saved: this mail was sent from another window.";
      const refused = answer.status === 422 ? await answer.json() : {};
      if (refused.is_full) {
        isFull = true;
        if (!isPaused) timer = setTimeout(save, LATER);
        return `Not saved: ${refused.problem} Nothing is lost as long as this page is open.`;
      }
      if (answer.status === 422 || answer.status === 413) return "Too large to be saved as a draft. Send it, or take pictures out.";
    } catch {
      // the line is down, or the mail goes out
    }
    if (isPaused) return "";
    timer = setTimeout(save, LATER);
    return "Not saved: the server cannot be reached. It is tried again; keep this page open.";
  }

  // Throws where the line is down, and then it is tried again.
  async function sendFiles() {
    const body = new FormData();
    for (const file of form.elements.attachments.files) body.append("file", file);
    for (const box of keptBoxes(form)) body.append(box.checked ? "ticked" : "unticked", box.value);
    for (const path of uploaded.get(key(form)) ?? []) body.append("removed", path); // the choice now replaces them
    hasNewFiles = false;
    try {
      const answer = await fetch(`${form.dataset.draftsUrl}/${key(form)}/files`, { method: "POST", signal: abort.signal, redirect: "manual", headers: { "X-CSRFToken": csrfToken() }, body });
      if (answer.ok) {
        uploaded.set(key(form), (await answer.json()).chosen);
        return "Draft saved, with its files";
      }
      const { problem } = answer.status === 422 ? await answer.json() : {};
      return `Draft saved without its files. ${problem ?? "They are too large to be kept with it."}`;
    } catch (error) {
      hasNewFiles = true;
      throw error;
    }
  }

  const hidden = () => document.visibilityState === "hidden" && timer && save();
  document.addEventListener("visibilitychange", hidden);
  return {
    changed,
    choseFiles() {
      hasNewFiles = true;
      changed();
    },
    pause() {
      isPaused = true;
      clearTimeout(timer);
      abort?.abort();
    },
    resume() {
      if (!isPaused) return;
      isPaused = false;
      changed();
    },
    async discard() {
      this.done();
      await running;
      const body = new URLSearchParams();
      await fetch(`${form.dataset.draftsUrl}/${key(form)}/discard`, { method: "POST", redirect: "manual", keepalive: true, headers: { "X-CSRFToken": csrfToken() }, body });
    },
    done() {
      isDone = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", hidden);
    },
  };
}
