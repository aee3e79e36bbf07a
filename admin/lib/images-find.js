// What the list of images is narrowed to: as the address of the page has it (short, dates without times), as the list's
// route takes it, in words, and the form for it.

import { h, icon, replace, uid } from "./dom.js";
import { bytes, has, moment, number, t } from "./text.js";

export const MIMES = {
  __proto__: null, // what is stored may be called "constructor"
  "image/avif": "AVIF",
  "image/bmp": "BMP",
  "image/gif": "GIF",
  "image/heic": "HEIC",
  "image/jpeg": "JPEG",
  "image/png": "PNG",
  "image/svg+xml": "SVG",
  "image/tiff": "TIFF",
  "image/vnd.microsoft.icon": "ICO",
  "image/webp": "WebP",
};

export const STATES = ["live", "large", "trash"];

// What can be looked for in any order of the list; `kind` is how it is written.
export const FIELDS = {
  q: "text",
  collection: "text",
  content_type: "text",
  object_id: "text",
  mime: "mime",
  min_size: "size",
  max_size: "size",
  accessed_after: "day",
  accessed_before: "day",
  created_after: "day",
  created_before: "day",
};

export const ORDERS = ["path", "newest", "hottest", "largest"];
export const TRASH_ORDERS = ["deleted", "path", "newest", "largest"];

export const orders = (state) => (state === "trash" ? TRASH_ORDERS : ORDERS);

const isDay = (text) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text));

// The start of that day, by the reader's clock.
function startOf(day) {
  return new Date(`${day}T00:00:00`);
}

function proper(kind, text) {
  if (kind === "day") return isDay(text);
  if (kind === "size") return /^[1-9]\d{0,14}$/.test(text);
  return text !== "";
}

// The address's words, less what makes no sense: {state, order, q, ...}, only with what is set.
export function parse(query) {
  const state = STATES.includes(query.state) ? query.state : "live";
  const filter = { state, order: orders(state).includes(query.order) ? query.order : orders(state)[0] };
  for (const [name, kind] of Object.entries(FIELDS)) {
    const text = (query[name] ?? "").trim();
    if (proper(kind, text)) filter[name] = text;
  }
  return filter;
}

// For the address: what is as always is left out.
export function shorten({ state, order, ...rest }) {
  return { ...rest, state: state === "live" ? "" : state, order: order === orders(state)[0] ? "" : order };
}

// What narrows, as the list's route and the bulk actions name it.
function narrowing(filter) {
  const wanted = {};
  for (const [name, kind] of Object.entries(FIELDS)) {
    if (!filter[name]) continue;
    wanted[name] = kind === "day" ? startOf(filter[name]).toISOString() : kind === "size" ? Number(filter[name]) : filter[name];
  }
  return wanted;
}

export function forList(filter) {
  return { collection: "*", ...narrowing(filter), state: filter.state, order: filter.order };
}

// `all`: nothing narrows it, so that it means every image there is.
export function forBulk(filter) {
  const wanted = narrowing(filter);
  const all = Object.keys(wanted).length === 0 && filter.state !== "large";
  return { filter: { collection: "*", ...wanted, ...(filter.state === "large" ? { state: "large" } : {}) }, ...(all ? { all: true } : {}) };
}

function inWords(name, text) {
  const kind = FIELDS[name];
  if (kind === "mime") return MIMES[text] ?? text;
  if (kind === "size") return bytes(Number(text));
  if (kind === "day") return moment(startOf(text), { dateStyle: "medium" });
  return text;
}

// A filter's name. What is the name of a column, too, is called as that is.
export const label = (name) => (has(`images.filter.${name}`) ? t(`images.filter.${name}`) : t(`images.column.${name === "mime" ? "content_type_header" : name}`));

// What is set, in words: [{name, text}].
export function describeFilter(filter) {
  return Object.keys(FIELDS)
    .filter((name) => filter[name])
    .map((name) => ({ name, text: t("images.chip", { name: label(name), value: inWords(name, filter[name]) }) }));
}

// The day that lies so many days back, for filters.
export function daysAgo(days) {
  const day = new Date();
  day.setDate(day.getDate() - days);
  const two = (n) => String(n).padStart(2, "0");
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}

// The form above the list of images: what to look for. What is set beside the search is also shown as chips that take it
// back.

const TYPING_MS = 300;
const KIB = 1024;

// In the part that opens; the others are always in view.
const MORE = ["collection", "mime", "content_type", "object_id", "min_size", "max_size", "accessed_after", "accessed_before", "created_after", "created_before"];

const SHORTCUTS = {
  new: () => ({ created_after: daysAgo(1), order: "newest" }),
  unused: () => ({ accessed_before: daysAgo(90) }),
  big: () => ({ min_size: String(1024 * KIB), order: "largest" }),
};

export class FilterForm {
  element;
  chips = h("div", { class: "chips images-chips" });
  #fields = {};
  #changed;
  #clock = 0;
  #filter;

  // `changed(query)` gets what the address is to say: {q, state, order, ...}.
  constructor(filter, changed, signal) {
    this.#filter = filter;
    this.#changed = changed;
    this.element = this.#build();
    this.#fill();
    signal.addEventListener("abort", () => clearTimeout(this.#clock), { once: true });
  }

  // The form shows another filter.
  set filter(filter) {
    this.#filter = filter;
    this.#fill();
  }

  setCollections(list) {
    const options = list.map(({ name, images }) => h("option", { value: name }, `${name} (${number(images)})`));
    replace(this.#fields.collection, h("option", { value: "" }, t("images.any.collection")), options);
    this.#fields.collection.value = this.#known("collection", this.#filter.collection ?? "");
  }

  // Entities that were seen, to choose from.
  suggest(contentTypes) {
    replace(this.#types, [...contentTypes].sort().map((value) => h("option", { value })));
  }

  #types = h("datalist", { id: uid("types") });

  #field(name, control) {
    const id = uid(name);
    control.id = id;
    control.name = name;
    this.#fields[name] = control;
    return h("div", { class: `field field-${name}` }, h("label", { for: id }, label(name)), control);
  }

  #select(name, values, word) {
    return this.#field(name, h("select", {}, values.map((value) => h("option", { value }, word(value)))));
  }

  #build() {
    const now = () => this.#read();
    const later = () => {
      clearTimeout(this.#clock);
      this.#clock = setTimeout(now, TYPING_MS);
    };
    const search = this.#field("q", h("input", { type: "search", spellcheck: "false", autocapitalize: "off", autocomplete: "off", maxlength: 500, dir: "auto", placeholder: t("images.search.hint") }));
    search.classList.add("grow");
    this.#more = h(
      "details",
      { class: "images-more" },
      h("summary", {}, t("images.more.filters")),
      h("div", { class: "filters" }, this.#moreFields()),
    );
    return h(
      "form",
      { class: "card images-form", role: "search", "aria-label": t("images.search"), on: { submit: (event) => (event.preventDefault(), now()), change: now, input: (event) => event.target.matches("input:not([type=date])") && later() } },
      h(
        "div",
        { class: "filters" },
        search,
        this.#select("state", STATES, (state) => t(`images.state.${state}`)),
        this.#field("order", h("select", {})),
      ),
      this.#more,
      h("div", { class: "row images-shortcuts" }, Object.keys(SHORTCUTS).map((name) => h("button", { type: "button", class: "small pill", dataset: { shortcut: name }, on: { click: () => this.#shortcut(name) } }, t(`images.shortcut.${name}`)))),
      this.#types,
    );
  }

  #more;

  #moreFields() {
    const text = (name, props) => this.#field(name, h("input", { type: "text", spellcheck: "false", autocapitalize: "off", autocomplete: "off", dir: "auto", maxlength: 200, ...props }));
    const size = (name) => this.#field(name, h("input", { type: "number", min: 0, step: "any", inputmode: "decimal", placeholder: t("unit.KiB") }));
    const day = (name) => this.#field(name, h("input", { type: "date" }));
    return [
      this.#field("collection", h("select", {}, h("option", { value: "" }, t("images.any.collection")))),
      this.#select("mime", ["", ...Object.keys(MIMES)], (mime) => MIMES[mime] ?? t("images.any.type")),
      text("content_type", { list: this.#types.id }),
      text("object_id"),
      size("min_size"),
      size("max_size"),
      day("accessed_after"),
      day("accessed_before"),
      day("created_after"),
      day("created_before"),
    ];
  }

  // A value that a list does not have (yet) is added to it.
  #known(name, value) {
    const select = this.#fields[name];
    if (![...select.options].some((option) => option.value === value)) select.append(h("option", { value }, value));
    return value;
  }

  #fill() {
    const filter = this.#filter;
    const fields = this.#fields;
    replace(fields.order, orders(filter.state).map((order) => h("option", { value: order }, t(`images.order.${order}`))));
    fields.order.value = filter.order;
    fields.state.value = filter.state;
    for (const [name, kind] of Object.entries(FIELDS)) {
      const field = fields[name];
      const value = filter[name] ?? "";
      // Who is typing is not disturbed.
      if (field === document.activeElement && field.matches("input")) continue;
      if (field.localName === "select") field.value = this.#known(name, value);
      else field.value = kind === "size" && value ? String(Number((Number(value) / KIB).toFixed(4))) : value;
    }
    if (MORE.some((name) => filter[name])) this.#more.open = true;
    this.#drawChips();
  }

  #read() {
    clearTimeout(this.#clock);
    const query = { state: this.#fields.state.value, order: this.#fields.order.value };
    for (const [name, kind] of Object.entries(FIELDS)) {
      const value = this.#fields[name].value.trim();
      query[name] = kind === "size" && value ? String(Math.max(0, Math.round(Number(value) * KIB))) : value;
    }
    this.#changed(query);
  }

  #shortcut(name) {
    this.#changed({ ...this.#filter, state: "live", order: "path", ...SHORTCUTS[name]() });
  }

  #drawChips() {
    const set = describeFilter(this.#filter);
    const take = (name) => {
      const { [name]: _, ...rest } = this.#filter;
      this.#fields[name].value = "";
      this.#changed(rest);
      (this.chips.querySelector("button") ?? this.#fields.q).focus();
    };
    const chips = set.map(({ name, text }) =>
      h("button", { type: "button", class: "small pill chip", "aria-label": t("images.chip.take", { what: text }), on: { click: () => take(name) } }, text, icon("close")),
    );
    const clear = () => {
      for (const { name } of set) this.#fields[name].value = "";
      this.#changed({ state: this.#filter.state, order: this.#filter.order });
      this.#fields.q.focus();
    };
    replace(this.chips, chips, set.length > 1 && h("button", { type: "button", class: "small quiet", on: { click: clear } }, t("images.chip.clear")));
    this.chips.hidden = set.length === 0;
  }
}
