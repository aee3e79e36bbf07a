// What the list of images is narrowed to: as the address of the page has it (short, dates without times), as the list's
// route takes it, and in words.

import { bytes, moment, t } from "./text.js";

export const MIMES = {
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
  if (kind === "size") return /^\d{1,15}$/.test(text);
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

// What is set, in words: [{name, text}].
export function describeFilter(filter) {
  return Object.keys(FIELDS)
    .filter((name) => filter[name])
    .map((name) => ({ name, text: t(`images.chip.${name}`, { value: inWords(name, filter[name]) }) }));
}

// The day that lies so many days back, for filters.
export function daysAgo(days) {
  const day = new Date();
  day.setDate(day.getDate() - days);
  const two = (n) => String(n).padStart(2, "0");
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}
