// The images that were found, and which of them are chosen.

import { h, replace } from "./dom.js";
import { fileName, previewUrl } from "./images-api.js";
import { MIMES } from "./images-find.js";
import { bytes, number, t, when } from "./text.js";

export class Selection extends EventTarget {
  #chosen = new Map();
  #anchor = null;
  all = false;

  get size() {
    return this.#chosen.size;
  }

  get images() {
    return [...this.#chosen.values()];
  }

  has(id) {
    return this.all || this.#chosen.has(id);
  }

  #told() {
    this.dispatchEvent(new Event("change"));
  }

  // One image, or with `range` all of `shown` from the one chosen before up to it.
  set(image, on, { range = false, shown = [] } = {}) {
    const from = range ? shown.findIndex(({ id }) => id === this.#anchor) : -1;
    const to = shown.findIndex(({ id }) => id === image.id);
    const some = from < 0 || to < 0 ? [image] : shown.slice(Math.min(from, to), Math.max(from, to) + 1);
    if (this.all) {
      // One is taken out of all: what is shown stays chosen.
      this.all = false;
      for (const other of shown) this.#chosen.set(other.id, other);
    }
    for (const one of some) {
      if (on) this.#chosen.set(one.id, one);
      else this.#chosen.delete(one.id);
    }
    this.#anchor = image.id;
    this.#told();
  }

  setShown(images, on) {
    this.all = false;
    this.#chosen.clear();
    if (on) for (const image of images) this.#chosen.set(image.id, image);
    this.#told();
  }

  setAll() {
    this.all = true;
    this.#chosen.clear();
    this.#told();
  }

  clear() {
    this.setShown([], false);
  }
}

// The images that were found, as a grid of previews or as a table. Each can be chosen by its checkbox; with Shift all from
// the one chosen before. The arrows go from image to image, with Shift choosing on the way.

const GROUP = 60; // full rows of 2 to 6; what is far away is laid out by the group, however many there are
const PREVIEW_MAX = 5 * 1048576; // bytes; a page of larger ones would take too long
const UNSHOWN = ["image/tiff", "image/heic"]; // by browsers

export const typeName = (image) => MIMES[image.content_type_header] ?? image.content_type_header;

export const isShown = (image) => image.content_type_header in MIMES && !UNSHOWN.includes(image.content_type_header);

// A path reads from left to right in every language, whatever is in it.
export const path = (text, props = {}) => h("bdi", { dir: "ltr", class: "path", ...props }, text);

export function pixels(image) {
  return image.width && image.height ? `${number(image.width)} × ${number(image.height)}` : "–";
}

export function entity(image) {
  return [image.content_type, image.object_id, image.variant].filter(Boolean).join(" / ");
}

// "PNG · 640 × 480 · 12 KiB": each part keeps its own direction.
export const parted = (...parts) => parts.map((part, i) => [i > 0 && " · ", h("bdi", {}, part)]);

// A preview that keeps its place, or what it is instead.
export function thumb(image) {
  const instead = () => h("span", { class: "no-preview", "aria-hidden": "true" }, typeName(image));
  if (!isShown(image) || image.file_size > PREVIEW_MAX) return instead();
  const failed = () => picture.replaceWith(instead());
  const picture = h("img", {
    alt: t("images.preview", { name: fileName(image.original_path) }),
    loading: "lazy",
    decoding: "async",
    width: 200,
    height: 150,
    on: { error: failed },
    src: previewUrl(image),
  });
  return picture;
}

const href = (image) => `#/images/${image.id}`;

export class Results {
  element = h("div", { class: "image-results" });
  #selection;
  #images = [];
  #items = new Map(); // id: {item, box}
  #view = "grid";
  #when = "last_accessed"; // the time that is shown
  #list = null;
  #shift = false;

  constructor(selection, signal) {
    this.#selection = selection;
    selection.addEventListener("change", () => this.#mark(), { signal });
    this.element.addEventListener("keydown", (event) => this.#key(event));
    // A checkbox tells that it changed, not whether Shift was held.
    for (const type of ["keydown", "keyup", "pointerdown"]) {
      this.element.addEventListener(type, (event) => (this.#shift = event.shiftKey), { capture: true });
    }
  }

  // From the beginning: `view` is grid or list.
  show(images, { view, trash }) {
    this.#view = view;
    this.#when = trash ? "deleted_at" : "last_accessed";
    this.#images = [];
    this.#items.clear();
    this.#list = view === "grid" ? h("div", { class: "image-groups" }) : this.#table();
    replace(this.element, view === "grid" ? this.#list : h("div", { class: "image-scroll" }, this.#list));
    this.element.hidden = true;
    this.add(images);
  }

  add(images) {
    for (const image of images) {
      if (this.#images.length % GROUP === 0) this.#list.append(this.#view === "grid" ? this.#group(this.#images.length) : h("tbody"));
      this.#images.push(image);
      this.#list.lastElementChild.append(this.#item(image));
    }
    this.element.hidden = this.#images.length === 0;
  }

  // The previews from `first` on. What is far from the window is taken out and made again when it comes near, so that any
  // number can be scrolled through; the place it took stays. (CSS Containment 2, section 4: content-visibility.)
  #group(first) {
    const group = h("ul", { class: "image-grid" });
    group.addEventListener("contentvisibilityautostatechange", ({ skipped }) => (skipped ? this.#empty(group, first) : this.#fill(group, first)));
    return group;
  }

  #empty(group, first) {
    if (group.childElementCount < GROUP) return;
    group.style.blockSize = `${group.offsetHeight}px`;
    group.replaceChildren();
    for (const { id } of this.#images.slice(first, first + GROUP)) this.#items.delete(id);
  }

  #fill(group, first) {
    if (group.childElementCount) return;
    group.append(...this.#images.slice(first, first + GROUP).map((image) => this.#item(image)));
    group.style.blockSize = "";
  }

  // The element of one of the images, made again if need be.
  #at(index) {
    const first = index - (index % GROUP);
    if (this.#view === "grid") this.#fill(this.#list.children[first / GROUP], first);
    return this.#items.get(this.#images[index].id).item;
  }

  get images() {
    return this.#images;
  }

  #table() {
    const heads = ["original_path", "collection", "entity", "content_type_header", "file_size", "pixels", this.#when];
    return h(
      "table",
      { class: "table image-table" },
      h("caption", { class: "unseen" }, t("images.title")),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, h("span", { class: "unseen" }, t("images.chosen"))),
          heads.map((name) => h("th", { scope: "col" }, t(`images.column.${name}`))),
        ),
      ),
    );
  }

  #item(image) {
    const box = h("input", {
      type: "checkbox",
      "aria-label": t("images.choose", { path: image.original_path }),
      checked: this.#selection.has(image.id),
      on: { change: () => this.#choose(image, box.checked) },
    });
    const item = this.#view === "grid" ? this.#card(image, box) : this.#row(image, box);
    item.dataset.id = image.id;
    item.classList.toggle("chosen", box.checked);
    this.#items.set(image.id, { item, box });
    return item;
  }

  #choose(image, on) {
    this.#selection.set(image, on, { range: this.#shift, shown: this.#images });
  }

  #card(image, box) {
    const name = fileName(image.original_path);
    const folder = image.original_path.slice(0, -name.length);
    return h(
      "li",
      { class: "image-card" },
      h("a", { class: "image-thumb", href: href(image), "aria-label": image.original_path }, thumb(image)),
      h("label", { class: "image-pick" }, box),
      h(
        "div",
        { class: "image-words", title: image.original_path },
        h("div", { class: "image-name" }, path(name)),
        h("div", { class: "muted" }, path(image.collection), folder && [" · ", path(folder)]),
        h("div", { class: "muted" }, parted(typeName(image), bytes(image.file_size))),
        h("div", { class: "muted" }, when(image[this.#when])),
      ),
    );
  }

  #row(image, box) {
    const cell = (name, ...children) => h("td", { dataset: { label: t(`images.column.${name}`) } }, children);
    return h(
      "tr",
      {},
      h("td", { class: "image-pick" }, h("label", {}, box)),
      h(
        "th",
        { scope: "row" },
        h("div", { class: "image-path" }, h("span", { class: "image-thumb small", "aria-hidden": "true" }, thumb(image)), h("a", { href: href(image) }, path(image.original_path))),
      ),
      cell("collection", path(image.collection)),
      cell("entity", entity(image) ? path(entity(image)) : h("span", { class: "muted" }, "–")),
      cell("content_type_header", typeName(image)),
      cell("file_size", bytes(image.file_size)),
      cell("pixels", pixels(image)),
      cell(this.#when, when(image[this.#when])),
    );
  }

  // Brings this image into view.
  reveal(id) {
    const index = this.#images.findIndex((image) => image.id === id);
    if (index >= 0) this.#at(index).scrollIntoView({ block: "center" });
  }

  #mark() {
    for (const [id, { item, box }] of this.#items) {
      box.checked = this.#selection.has(id);
      item.classList.toggle("chosen", box.checked);
    }
  }

  // How many stand beside each other.
  #columns(item) {
    if (this.#view === "list") return 1;
    const [first, ...rest] = item.parentElement.children;
    const next = rest.findIndex((item) => item.offsetTop !== first.offsetTop);
    return next < 0 ? rest.length + 1 : next + 1;
  }

  #step(key, item) {
    const ahead = document.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
    if (key === "ArrowDown") return this.#columns(item);
    if (key === "ArrowUp") return -this.#columns(item);
    if (this.#view === "list") return 0;
    return key === ahead ? 1 : key === "ArrowLeft" || key === "ArrowRight" ? -1 : 0;
  }

  #key(event) {
    const item = event.target.closest("[data-id]");
    if (event.altKey || !item) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a") {
      event.preventDefault();
      this.#selection.setShown(this.#images, true);
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") return this.#selection.clear();
    const at = this.#images.findIndex(({ id }) => String(id) === item.dataset.id);
    const to = event.key === "Home" ? 0 : event.key === "End" ? this.#images.length - 1 : at + this.#step(event.key, item);
    if (to === at || to < 0 || to >= this.#images.length) return;
    event.preventDefault();
    this.#go(to, event.target.matches("input") ? "input" : "a", event.shiftKey);
  }

  #go(to, what, choosing) {
    const item = this.#at(to);
    item.querySelector(what).focus();
    item.scrollIntoView({ block: "nearest" });
    if (choosing) this.#selection.set(this.#images[to], true, { range: true, shown: this.#images });
  }
}
