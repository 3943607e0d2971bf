/* The Signature tab: the editor on the textarea of the form. Without this script the textarea shows HTML. */

import { richText } from "./rich_text.js";

const textarea = document.querySelector("[data-signature]");
if (textarea) start(textarea);

function start(area) {
  const { form } = area;
  const saved = area.value;
  let leaving = false;
  const editor = richText(area, { root: form, label: "Signature", fetchUrl: form.dataset.fetchUrl });
  document.querySelector(`label[for="${area.id}"]`)?.addEventListener("click", () => editor.focus());
  form.addEventListener("submit", () => {
    leaving = true;
    area.value = editor.typed ? editor.html() : saved;
  });
  window.addEventListener("beforeunload", (event) => {
    if (editor.typed && !leaving) event.preventDefault();
  });
}
