/* Port and security belong together: choosing one sets the other, and a pair that does not fit says so.

   <form data-ports='{"465": "tls", "587": "starttls"}'> with the fields port and security, [data-port-note] for the
   words, and [data-plain] for what is only asked when nothing protects the line. data-port-prefix="imap_ smtp_": there
   are two pairs, imap_port with imap_security and so on, each with its own [data-port-note="imap_"]. */

const NAMES = { tls: "TLS", starttls: "STARTTLS", none: "None" };

const pairs = (form) =>
  (form.dataset.portPrefix ?? "")
    .split(" ")
    .map((prefix) => ({ prefix, port: form.elements[`${prefix}port`], security: form.elements[`${prefix}security`] }))
    .filter(({ port, security }) => port && security);

document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (!form?.dataset.ports || !event.isTrusted) return form?.dataset.ports && describe(form);
  const usual = JSON.parse(form.dataset.ports);
  for (const { port, security } of pairs(form)) {
    if (event.target === port && usual[port.value.trim()]) security.value = usual[port.value.trim()];
  }
  describe(form);
});
document.addEventListener("htmx:load", (event) => {
  for (const form of event.target.querySelectorAll?.("form[data-ports]") ?? []) describe(form);
  const around = event.target.closest?.("form[data-ports]");
  if (around) describe(around);
});
for (const form of document.querySelectorAll("form[data-ports]")) describe(form);

function describe(form) {
  const usual = JSON.parse(form.dataset.ports);
  const all = pairs(form);
  for (const { prefix, port, security } of all) {
    const expected = usual[port.value.trim()];
    const note = form.querySelector(`[data-port-note="${prefix}"]`);
    if (!note) continue;
    const odd = expected && expected !== security.value;
    note.hidden = !odd;
    if (odd) note.querySelector("[data-port-words]").textContent = `Port ${port.value.trim()} usually goes with ${NAMES[expected]}.`;
  }
  if (!all.length) return;
  for (const part of form.querySelectorAll("[data-plain]")) part.hidden = all.every(({ security }) => security.value !== "none");
}
