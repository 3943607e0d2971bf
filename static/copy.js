/* Buttons that copy the value of a field: data-copy names it. Without a clipboard (plain HTTP) it is selected instead. */

import { toast } from "./toast.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  const field = button && document.querySelector(button.dataset.copy);
  if (!field) return;
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    toast("The link is copied.", "good");
  } catch {
    toast("Selected: copy it with the keys or the menu of your browser.", "info");
  }
});
