/* Menus are <details data-menu>: this closes them again, and lets the arrow keys walk through them. */

const menus = () => document.querySelectorAll("details[data-menu][open]");

document.addEventListener("click", (event) => {
  for (const menu of menus()) if (!menu.contains(event.target) || event.target.closest(".menu-item")) menu.open = false;
});
document.addEventListener("focusin", (event) => {
  for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.("details[data-menu]");
  if (!menu) return;
  const summary = menu.querySelector("summary");
  if (event.key === "Escape" && menu.open) {
    menu.open = false;
    summary.focus();
    event.preventDefault();
    event.stopPropagation();
  } else if (["ArrowDown", "ArrowUp"].includes(event.key)) {
    menu.open = true;
    const items = [...menu.querySelectorAll(".menu-item")];
    const step = event.key === "ArrowDown" ? 1 : -1;
    const now = items.indexOf(document.activeElement);
    items.at(now < 0 ? (step > 0 ? 0 : -1) : (now + step) % items.length)?.focus();
    event.preventDefault();
  }
});
