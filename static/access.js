/* Several ticks at once: their answers may come in any order, so that the last one drawn need not be the newest. After
   ticks that met, the list is fetched once more. */

let open = 0;
let met = false;

const ofTick = (event) => event.detail.target?.id === "access" && event.detail.elt.id !== "access";

document.addEventListener("htmx:beforeRequest", (event) => {
  if (ofTick(event) && open++) met = true;
});

document.addEventListener("htmx:afterRequest", (event) => {
  if (!ofTick(event) || --open || !met) return;
  met = false;
  window.htmx.trigger(document.body, "access:changed");
});
