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

for (const field of document.querySelectorAll("[data-own-time-zone]")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  if (!field.options || [...field.options].some((option) => option.value === zone)) field.value = zone;
}
setInterval(refresh, 15000);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
