/* Keeps <time data-relative> true while the page is open. The words are those of organizations/templatetags/moments.py. */

const STEPS = [
  [60, 60, "minute"],
  [3600, 24, "hour"],
  [86400, 7, "day"],
];

export function inWords(moment, now) {
  const seconds = (now - moment) / 1000;
  const span = Math.abs(seconds);
  if (span < 45) return seconds >= 0 ? "just now" : "in a moment";
  for (const [size, limit, unit] of STEPS) {
    const count = Math.max(1, Math.floor(span / size + 0.5));
    if (count < limit) {
      const words = `${count} ${unit}${count === 1 ? "" : "s"}`;
      return seconds > 0 ? `${words} ago` : `in ${words}`;
    }
  }
  return null; // a week and more: the server wrote the date in the reader's time zone
}

function refresh() {
  const now = new Date();
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const words = inWords(new Date(element.dateTime), now);
    if (words && element.textContent !== words) element.textContent = words;
  }
}

/* Browsers may call a zone by an old name ("Asia/Calcutta") that stands in no list. */
function zoneOf(timeZone) {
  try {
    return Intl.DateTimeFormat("en", { timeZone }).resolvedOptions().timeZone ?? "";
  } catch {
    return ""; // a name that is newer than the browser
  }
}

for (const field of document.querySelectorAll("[data-own-time-zone]")) {
  const own = zoneOf();
  const listed = field.options && [...field.options].map((option) => option.value);
  if (!listed || listed.includes(own)) field.value = own;
  else field.value = listed.find((name) => name && zoneOf(name) === own) ?? field.value;
}
setInterval(refresh, 15000);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
