/* The editor of text with formatting: signatures and mail. It works on a textarea, which holds the HTML.

   Formatting from other programs is kept: blocks, cells and pieces of text carry the styles they came with. New images
   stand in the HTML as data addresses until the server has taken them over.

   const editor = richText(textarea, { root, label, fetchUrl, onUpdate }); root holds [data-editor], [data-tools] and what
   belongs to them; editor.html() is what is written, editor.typed whether anybody has changed it. */

import {
  Blockquote, Bold, BulletList, Document, Dropcursor, Editor, Extension, Gapcursor, HardBreak, Heading, History, HorizontalRule, Italic,
  ListItem, Mark, Node, OrderedList, Paragraph, Strike, Subscript, Superscript, Text, Underline, pm,
} from "./django_prose_editor/editor.js";
import { csrfToken } from "./csrf.js";
import { brought, dataOf, keptStyle, prepared, takeImages } from "./rich_text_paste.js";
import { toast } from "./toast.js";

const attribute = (name, rendered = name) => ({
  default: null,
  parseHTML: (element) => element.getAttribute(name),
  renderHTML: (values) => (values[name] ? { [rendered]: values[name] } : {}),
});
const style = {
  default: null,
  parseHTML: (element) => element.getAttribute("data-style") || null,
  renderHTML: (values) => (values.style ? { style: values.style } : {}),
};

// Lines of a signature stand close together, in every mail program.
const CloseParagraph = Paragraph.extend({
  addAttributes: () => ({
    style: {
      ...style,
      renderHTML: (values) => ({ style: /(^|[\s;])margin(-top|-bottom)?\s*:/.test(values.style ?? "") ? values.style : `margin: 0px; ${values.style ?? ""}` }),
    },
    align: attribute("align"),
  }),
});

const Division = Node.create({
  name: "division",
  group: "block",
  content: "block+",
  parseHTML: () => [{ tag: "div[data-style]", getAttrs: (element) => (element.getAttribute("data-style") ? null : false) }, { tag: "center" }],
  renderHTML: ({ HTMLAttributes }) => ["div", HTMLAttributes, 0],
});

const cell = (name, tag) =>
  Node.create({
    name,
    content: "block+",
    isolating: true,
    parseHTML: () => [{ tag }],
    renderHTML: ({ HTMLAttributes }) => [tag, HTMLAttributes, 0],
    addAttributes: () => Object.fromEntries(["width", "height", "align", "valign", "bgcolor", "colspan", "rowspan", "nowrap"].map((each) => [each, attribute(each)])),
  });
const Row = Node.create({
  name: "row",
  content: "(dataCell | headCell)*",
  parseHTML: () => [{ tag: "tr" }],
  renderHTML: ({ HTMLAttributes }) => ["tr", HTMLAttributes, 0],
  addAttributes: () => ({ align: attribute("align"), valign: attribute("valign"), bgcolor: attribute("bgcolor") }),
});
const LayoutTable = Node.create({
  name: "layoutTable",
  group: "block",
  content: "row+",
  isolating: true,
  parseHTML: () => [{ tag: "table" }],
  renderHTML: ({ HTMLAttributes }) => ["table", HTMLAttributes, ["tbody", 0]],
  addAttributes: () => Object.fromEntries(["width", "align", "bgcolor", "border", "cellpadding", "cellspacing"].map((each) => [each, attribute(each)])),
});

const Picture = Node.create({
  name: "picture",
  group: "inline",
  inline: true,
  draggable: true,
  parseHTML: () => [{ tag: "img[src]" }],
  renderHTML: ({ HTMLAttributes }) => ["img", HTMLAttributes],
  addAttributes: () => ({
    ...Object.fromEntries(["src", "width", "height"].map((each) => [each, attribute(each)])),
    alt: { default: "", renderHTML: (values) => ({ alt: values.alt ?? "" }) },
  }),
});

// Pieces of text keep what they came with; several may lie in each other.
const Styled = Mark.create({
  name: "styled",
  excludes: "",
  parseHTML: () => [
    { tag: "span[data-style]", getAttrs: (element) => (element.dataset.style ? { style: element.dataset.style } : false) },
    { tag: "font", getAttrs: (element) => ({ style: fontStyle(element) || null }) },
  ],
  renderHTML: ({ HTMLAttributes }) => ["span", HTMLAttributes, 0],
  addAttributes: () => ({ style: { default: null, renderHTML: style.renderHTML } }),
});

function fontStyle(font) {
  const made = document.createElement("i").style;
  made.cssText = keptStyle(font.dataset.style ?? "");
  if (font.getAttribute("color")) made.color = font.getAttribute("color");
  if (font.getAttribute("face")) made.fontFamily = font.getAttribute("face");
  if (/^[1-7]$/.test(font.getAttribute("size") ?? "")) made.fontSize = ["", "10px", "13px", "16px", "18px", "24px", "32px", "48px"][font.getAttribute("size")];
  return made.cssText;
}

const Anchor = Mark.create({
  name: "link",
  inclusive: false,
  parseHTML: () => [{ tag: "a[href]", getAttrs: (element) => (/^(https?:|mailto:|tel:)/i.test(element.getAttribute("href")) ? null : false) }],
  renderHTML: ({ HTMLAttributes }) => ["a", HTMLAttributes, 0],
  addAttributes: () => ({ href: attribute("href") }),
});

const KeptStyles = Extension.create({
  name: "keptStyles",
  addGlobalAttributes: () => [
    {
      types: ["heading", "blockquote", "division", "layoutTable", "row", "dataCell", "headCell", "bulletList", "orderedList", "listItem", "picture", "link"],
      attributes: { style },
    },
  ],
});

export function richText(textarea, { root, label, fetchUrl, onUpdate = () => {} }) {
  const place = root.querySelector("[data-editor]");
  const saved = textarea.value;
  let typed = false;

  const bar = root.querySelector("[data-tools]");
  const address = root.querySelector("[data-link-address]");
  const linkRow = root.querySelector("[data-link-row]");
  const sizeRow = root.querySelector("[data-picture-row]");
  const width = root.querySelector("[data-picture-width]");
  const picker = root.querySelector("[data-picture-file]");
  const colour = root.querySelector("[data-colour]");
  const size = root.querySelector("[data-size]");

  const editor = new Editor({
    element: place,
    injectCSS: false,
    extensions: [
      Document, CloseParagraph, Text, HardBreak, Heading, Blockquote, HorizontalRule, Division, LayoutTable, Row, cell("dataCell", "td"), cell("headCell", "th"),
      BulletList, OrderedList, ListItem, Picture, Bold, Italic, Underline, Strike, Subscript, Superscript, Styled, Anchor, KeptStyles, History,
      Dropcursor, Gapcursor,
    ],
    editorProps: {
      attributes: { role: "textbox", "aria-multiline": "true", "aria-label": label, ...described(textarea) },
      // Before the editor reads the clipboard itself: it would parse styles as they are, which this page's policy refuses.
      handleDOMEvents: {
        paste: (_, event) => take(event.clipboardData, event),
        drop: (view, event) => !view.dragging && take(event.dataTransfer, event, view.posAtCoords({ left: event.clientX, top: event.clientY })?.pos),
      },
    },
    onUpdate: () => {
      typed = true;
      textarea.value = html();
      onUpdate();
    },
    onTransaction: ({ editor: changed }) => show(changed),
  });
  const { view } = editor;
  const parser = pm.model.DOMParser.fromSchema(editor.schema);
  if (saved.trim()) editor.commands.setContent(parser.parse(prepared(saved)).toJSON(), { emitUpdate: false });
  textarea.hidden = true;
  for (const element of root.querySelectorAll("[data-needs-script]")) element.hidden = false;

  const html = () => (editor.isEmpty && !hasPicture() ? "" : editor.getHTML());
  function hasPicture() {
    let found = false;
    editor.state.doc.descendants((node) => (found ||= node.type.name === "picture"));
    return found;
  }

  // Pasting and dropping -------------------------------------------------------------------------------------------

  function take(transfer, event, at) {
    const bring = brought(transfer);
    if (!bring.html && !bring.files.length) return false; // plain text goes its usual way
    event.preventDefault();
    if (at !== undefined) editor.commands.setTextSelection(at);
    insert(bring);
    return true;
  }

  async function insert(bring) {
    busy(true);
    try {
      const body = bring.html ? prepared(bring.html) : await imagesOnly(bring.files);
      const lost = await takeImages(body, bring.html ? bring : { rtf: "", files: [] }, fetched);
      view.dispatch(view.state.tr.replaceSelection(parser.parseSlice(body)).scrollIntoView());
      if (lost) toast(`${lost === 1 ? "An image" : `${lost} images`} could not be read from the clipboard. Save ${lost === 1 ? "it as a file" : "them as files"} and insert ${lost === 1 ? "it" : "them"} with the image button.`, "warn");
    } finally {
      busy(false);
    }
  }

  async function imagesOnly(files) {
    const body = document.createElement("div");
    for (const file of files) {
      const image = document.createElement("img");
      image.setAttribute("src", await dataOf(file));
      image.setAttribute("alt", file.name.replace(/\.[a-z]+$/i, ""));
      body.append(image);
    }
    return body;
  }

  // Images on the web are fetched by the server: this page talks to nobody else.
  async function fetched(address) {
    const answer = await fetch(fetchUrl, { method: "POST", headers: { "X-CSRFToken": csrfToken() }, body: new URLSearchParams({ address }) });
    return answer.ok && answer.headers.get("Content-Type")?.startsWith("image/") ? dataOf(await answer.blob()) : "";
  }

  const busy = (is) => place.toggleAttribute("data-busy", is);

  // The tool bar ---------------------------------------------------------------------------------------------------

  const styled = (name, value) => {
    const { from, to, empty } = editor.state.selection;
    const mark = editor.schema.marks.styled;
    const { tr } = view.state;
    if (empty) tr.addStoredMark(mark.create({ style: `${name}: ${value};` }));
    else tr.addMark(from, to, mark.create({ style: `${name}: ${value};` }));
    view.dispatch(tr);
    view.focus();
  };
  const tools = {
    bold: () => editor.chain().focus().toggleBold().run(),
    italic: () => editor.chain().focus().toggleItalic().run(),
    underline: () => editor.chain().focus().toggleUnderline().run(),
    bulletList: () => editor.chain().focus().toggleBulletList().run(),
    orderedList: () => editor.chain().focus().toggleOrderedList().run(),
    blockquote: () => editor.chain().focus().toggleBlockquote().run(),
    undo: () => editor.chain().focus().undo().run(),
    redo: () => editor.chain().focus().redo().run(),
    clear: () => editor.chain().focus().unsetAllMarks().run(),
    picture: () => picker.click(),
    link: () => {
      linkRow.hidden = !linkRow.hidden;
      if (linkRow.hidden) return;
      address.value = editor.getAttributes("link").href ?? "";
      address.focus();
    },
  };
  bar.addEventListener("click", (event) => tools[event.target.closest("[data-tool]")?.dataset.tool]?.());
  bar.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || !event.target.matches("[data-tool]")) return;
    const buttons = [...bar.querySelectorAll("[data-tool]")];
    buttons.at((buttons.indexOf(event.target) + step) % buttons.length).focus();
  });
  colour.addEventListener("change", () => styled("color", colour.value));
  size.addEventListener("change", () => {
    if (size.value) styled("font-size", size.value);
    size.value = "";
  });
  picker.addEventListener("change", async () => {
    await insert({ html: "", rtf: "", files: [...picker.files] });
    picker.value = "";
  });
  width.addEventListener("change", () => editor.commands.updateAttributes("picture", { width: /^[1-9]\d{0,3}$/.test(width.value) ? width.value : null, height: null, style: null }));
  linkRow.addEventListener("keydown", (event) => {
    if (event.key === "Escape") linkRow.hidden = true;
    if (event.key !== "Enter") return;
    event.preventDefault();
    applyLink();
  });
  linkRow.addEventListener("click", (event) => {
    if (event.target.closest("[data-link-apply]")) applyLink();
  });

  function applyLink() {
    const text = address.value.trim();
    const href = !text || /^(https?:|mailto:|tel:)/i.test(text) ? text : /^[^\s/@]+@[^\s/@]+$/.test(text) ? `mailto:${text}` : `https://${text}`;
    const chain = editor.chain().focus().extendMarkRange("link");
    if (!href) chain.unsetMark("link").run();
    else if (editor.state.selection.empty && !editor.isActive("link")) chain.insertContent({ type: "text", text, marks: [{ type: "link", attrs: { href } }] }).run();
    else chain.setMark("link", { href }).run();
    linkRow.hidden = true;
  }

  function show(changed) {
    for (const button of bar.querySelectorAll("[aria-pressed]")) button.setAttribute("aria-pressed", String(changed.isActive(button.dataset.tool)));
    const { node } = changed.state.selection;
    const picture = node?.type.name === "picture" ? node : null;
    sizeRow.hidden = !picture;
    if (picture && document.activeElement !== width) width.value = picture.attrs.width ?? "";
  }

  return {
    html,
    get typed() {
      return typed;
    },
    text: () => editor.getText({ blockSeparator: "\n" }),
    focus: (at) => editor.commands.focus(at),
    speak: (language) => view.dom.setAttribute("lang", language),
    destroy: () => editor.destroy(),
    load(markup) {
      editor.commands.setContent(parser.parse(prepared(markup)).toJSON(), { emitUpdate: false });
      textarea.value = html();
    },
  };
}

function described(textarea) {
  const by = textarea.getAttribute("aria-describedby");
  return { ...(by ? { "aria-describedby": by } : {}), ...(textarea.getAttribute("aria-invalid") ? { "aria-invalid": "true" } : {}) };
}
