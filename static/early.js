/* A press is never lost: what is pressed before the page listens is kept, and done as soon as it does.

   Loaded before everything else and at once; the other scripts wait until the page is read. */

(() => {
  const kept = new Set();

  const keep = (event) => {
    const control = event.target.closest?.("a, button, input");
    if (!control?.matches("[hx-get], [hx-post], [hx-put], [hx-patch], [hx-delete]")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    kept.add(control);
  };

  const listening = () => {
    removeEventListener("click", keep, true);
    for (const control of kept) if (control.isConnected) control.click();
  };

  addEventListener("click", keep, true);
  document.addEventListener("htmx:load", listening, { once: true });
})();
