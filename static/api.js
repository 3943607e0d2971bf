/* The documentation of the API: searching it, and trying an operation with a token that only this page holds. */

const operations = [...document.querySelectorAll("[data-words]")];
const search = document.querySelector("#api-search");

function narrow() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const one of operations) one.hidden = !words.every((word) => one.dataset.words.includes(word));
  for (const group of document.querySelectorAll(".api-group[data-group]")) {
    group.hidden = !group.querySelector("[data-words]:not([hidden])");
  }
  document.querySelector("#api-none").hidden = operations.some((one) => !one.hidden);
}

search?.addEventListener("input", narrow);

function openNamed() {
  const named = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named instanceof HTMLDetailsElement) named.open = true;
}

addEventListener("hashchange", openNamed);
openNamed();

function address(form) {
  const query = new URLSearchParams();
  let path = form.dataset.path;
  for (const field of form.querySelectorAll("[data-in]")) {
    if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
    if (field.dataset.in === "query" && field.value) query.set(field.name, field.value);
  }
  return query.size ? `${path}?${query}` : path;
}

async function answer(form) {
  const headers = { Authorization: `Bearer ${document.querySelector("#api-token").value.trim()}` };
  for (const field of form.querySelectorAll('[data-in="header"]')) headers[field.name] = field.value || crypto.randomUUID();
  const body = form.querySelector("textarea")?.value;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(address(form), { method: form.dataset.method, headers, body, credentials: "omit" });
  const kind = response.headers.get("Content-Type") ?? "";
  const text = kind.includes("json") ? JSON.stringify(await response.json(), null, 2) : await response.text();
  return `${response.status} ${response.statusText}\n\n${text.slice(0, 20000)}`;
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-path]");
  if (!form) return;
  event.preventDefault();
  const shown = form.querySelector("output");
  shown.hidden = false;
  shown.textContent = "Asking...";
  try {
    shown.textContent = await answer(form);
  } catch (error) {
    shown.textContent = `No answer came: ${error.message}`;
  }
});
