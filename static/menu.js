/* Menus are <details data-menu>: this closes them again, and lets the arrow keys walk through them. */

const menus = () => document.querySelectorAll("details[data-menu][open]");

// Where there is no room, a menu opens to the other side.
document.addEventListener(
  "toggle",
  ({ target: menu }) => {
    if (!menu.matches("details[data-menu]")) return;
    menu.classList.remove("flipped", "raised");
    if (!menu.open) return;
    const { left, right, bottom, height } = menu.querySelector(".items").getBoundingClientRect();
    menu.classList.toggle("flipped", left < 0 || right > document.documentElement.clientWidth);
    menu.classList.toggle("raised", bottom > innerHeight && menu.getBoundingClientRect().top > height);
  },
  true,
);

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
