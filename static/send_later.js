/* Enter in the date and time of Send later schedules, as the button beside it: by itself it would press the form's first. */

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.ctrlKey || event.metaKey || !event.target.matches("[name=send_on]")) return;
  event.preventDefault();
  event.stopPropagation();
  event.target.form.querySelector("[name=send_at][value=chosen]").click();
});
