/* From what a mail program or a word processor puts on the clipboard to clean HTML with every image inside it.

   Rules of style sheets (Word) are written onto the elements they style, and every style moves from `style` to
   `data-style`: documents that are only read must not trip over this page's content security policy. Images whose
   source is a file of the other program are taken from the clipboard's RTF, or from the files beside it. */

const KEPT = new Set([
  "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left", "border-radius", "border-right",
  "border-spacing", "border-style", "border-top", "border-width", "color", "direction", "font-family", "font-size", "font-style",
  "font-variant", "font-weight", "height", "letter-spacing", "line-height", "list-style-type", "margin", "margin-bottom", "margin-left",
  "margin-right", "margin-top", "max-width", "min-width", "padding", "padding-bottom", "padding-left", "padding-right", "padding-top",
  "text-align", "text-decoration", "text-indent", "text-transform", "vertical-align", "white-space", "width",
]);
const IMAGE = /^data:image\/(png|jpeg|gif|webp);base64,/i;

/** The body of `html`, ready for the editor's parser: styles in data-style, no comments, scripts or office elements. */
export function prepared(html) {
  const sheets = [];
  const bare = html.replace(/<style\b[^>]*>([\s\S]*?)<\/style\s*>/gi, (_, text) => (sheets.push(text), ""));
  const page = new DOMParser().parseFromString(withoutStyles(bare), "text/html");
  for (const sheet of sheets) inline(page, sheet);
  for (const element of page.querySelectorAll("style, script, meta, link, title, template, noscript, object, svg, math")) element.remove();
  for (const element of page.querySelectorAll("[data-style]")) element.dataset.style = keptStyle(element.dataset.style);
  for (const element of [...page.body.querySelectorAll("*")]) if (element.localName.includes(":")) element.replaceWith(...element.childNodes);
  return page.body;
}

// Only the attributes: what is written between two elements stays.
const withoutStyles = (html) => html.replace(/<[a-z][^<>]*>/gi, (tag) => tag.replace(/\sstyle\s*=/gi, " data-style="));

function inline(page, text) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(text.replace(/<!--|-->/g, ""));
  for (const rule of sheet.cssRules) {
    if (!(rule instanceof CSSStyleRule)) continue;
    let styled = [];
    try {
      styled = page.body.querySelectorAll(rule.selectorText);
    } catch {
      continue; // a selector of another program's own making
    }
    // What stands on the element itself comes later, and wins.
    for (const element of styled) element.dataset.style = `${rule.style.cssText} ${element.dataset.style ?? ""}`;
  }
}

/** The declarations of `text` that a signature may have. */
export function keptStyle(text) {
  const probe = document.createElement("i").style;
  probe.cssText = text;
  const kept = document.createElement("i").style;
  for (const name of KEPT) {
    const value = probe.getPropertyValue(name);
    if (value && !/url|image\(|expression|var\(|windowtext/i.test(value)) kept.setProperty(name, value);
  }
  return kept.cssText;
}

/** What a paste or a drop brought, read while the event lasts. */
export function brought(transfer) {
  return {
    html: transfer.getData("text/html"),
    rtf: transfer.getData("text/rtf"),
    files: [...transfer.files].filter((file) => /^image\/(png|jpeg|gif|webp)$/.test(file.type)),
  };
}

/** Give every image of `body` its content as a data address; return how many had to be left out. */
export async function takeImages(body, { rtf, files }, fetchRemote) {
  const pictures = picturesOf(rtf);
  const waiting = [...files];
  const images = [...body.querySelectorAll("img")];
  const foreign = images.filter((image) => !IMAGE.test(source(image)) && !isOurs(source(image)));
  const local = foreign.filter((image) => !/^https?:/i.test(source(image)));
  const byOrder = pictures.length >= local.length ? pictures : []; // RTF lists pictures in the order of the text
  let lost = 0;
  for (const image of foreign) {
    const at = local.indexOf(image);
    const content = at < 0 ? await fetchRemote(source(image)) : (byOrder[at] ?? (waiting.length ? await dataOf(waiting.shift()) : ""));
    if (content) image.setAttribute("src", content);
    else {
      image.remove();
      lost += 1;
    }
  }
  for (const image of images) for (const name of ["srcset", "loading", "class", "id"]) image.removeAttribute(name);
  return lost;
}

const source = (image) => image.getAttribute("src") ?? "";
const isOurs = (address) => new URL(address, location.href).pathname.includes("/settings/signature/images/");

export function dataOf(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

/** The PNG and JPEG pictures of an RTF text as data addresses, in their order ("\pict ... \pngblip" and hexadecimal). */
export function picturesOf(rtf) {
  const found = [];
  for (const start of rtf.matchAll(/\{\\pict\b/g)) {
    const end = closing(rtf, start.index);
    const group = rtf.slice(start.index, end);
    if (/\{\\nonshppict\s*$/.test(rtf.slice(Math.max(0, start.index - 40), start.index))) continue; // the same once more, for old readers
    const type = /\\pngblip\b/.test(group) ? "png" : /\\jpegblip\b/.test(group) ? "jpeg" : "";
    const hex = /([0-9a-f\s]{64,})\}?$/i.exec(group)?.[1].replace(/\s/g, "") ?? "";
    if (!type || !hex) continue;
    const octets = Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
    let text = "";
    for (let at = 0; at < octets.length; at += 0x8000) text += String.fromCharCode(...octets.subarray(at, at + 0x8000));
    found.push(`data:image/${type};base64,${btoa(text)}`);
  }
  return found;
}

function closing(rtf, start) {
  let depth = 0;
  for (let at = start; at < rtf.length; at += 1) {
    if (rtf[at] === "\\") at += 1;
    else if (rtf[at] === "{") depth += 1;
    else if (rtf[at] === "}" && (depth -= 1) === 0) return at + 1;
  }
  return rtf.length;
}
