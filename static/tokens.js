/* The new token's copy button. Without a clipboard (plain HTTP) it is selected instead. */

import { toast } from "./toast.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copies]");
  const field = button && document.querySelector(button.dataset.copies);
  if (!field) return;
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    toast("The token is copied.", "good");
  } catch {
    toast("Selected: copy it with the keys or the menu of your browser.", "info");
  }
});
