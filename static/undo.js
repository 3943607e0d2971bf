/* The bar after Send: counts down on every page while a mail can be taken back, Ctrl+Z outside of fields does so too, and
   what is over leaves by itself. The rows decide; this only shows. Without it the button works, and the page stays as it is. */

const STEP = 250; // milliseconds
const STAYS = 6000; // milliseconds: how long "was sent" is shown
const ends = new Map(); // id of a line -> when its time to undo ends, or when it leaves

const bar = () => document.getElementById("undo-bar");
const lines = () => [...document.querySelectorAll("[data-undo-line]")];

function tick() {
  for (const line of lines()) {
    const over = "over" in line.dataset;
    const key = `${line.id} ${over}`;
    if (!ends.has(key)) ends.set(key, Date.now() + (over ? STAYS : Number(line.dataset.left) * 1000));
    const left = ends.get(key) - Date.now();
    if (over && left <= 0 && !line.matches(":hover, :focus-within")) line.remove();
    else if (!over) show(line, Math.ceil(left / 1000));
  }
}

function show(line, seconds) {
  const number = line.querySelector("[data-seconds]");
  if (!number) return;
  number.textContent = Math.max(0, seconds);
  if (seconds > 0) return;
  line.querySelector("[data-leaving]").hidden = true;
  line.querySelector("[data-left-now]").hidden = false;
  line.querySelector("form")?.remove();
}

// Shown again out of the browser's memory, the bar is as old as the page.
window.addEventListener("pageshow", (event) => {
  if (event.persisted && bar()) window.htmx.ajax("GET", bar().dataset.liveUrl, { target: "#undo-bar", swap: "outerHTML" });
});

document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() !== "z" || event.shiftKey || event.altKey || !(event.ctrlKey || event.metaKey)) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const button = lines().at(-1)?.querySelector("form button");
  if (!button) return;
  event.preventDefault();
  button.click();
});

if (bar()) {
  tick();
  setInterval(tick, STEP);
}
