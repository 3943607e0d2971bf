/* Enter in the date and time of Send later schedules, as the button beside it: by itself it would press the form's first. */

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.ctrlKey || event.metaKey || !event.target.matches("[name=send_on]")) return;
  event.preventDefault();
  event.stopPropagation();
  event.target.form.querySelector("[name=send_at][value=chosen]").click();
});

// An error in the menu is shown: the field that has the focus at first is outside of it, and so closes it.
document.addEventListener("htmx:afterSettle", () => {
  const wrong = document.querySelector(".send-later [aria-invalid='true']");
  if (!wrong || document.querySelector("[data-composer] [aria-invalid='true']") !== wrong) return;
  wrong.closest("details").open = true;
  wrong.focus();
});
