// What is known of one image: each column of its row, where it is now, what happened to it, where it is found.

import { url } from "./api.js";
import { toast } from "./dialog.js";
import { h, icon, uid } from "./dom.js";
import { path, pixels, typeName } from "./images-results.js";
import { bytes, has, moment, number, t, when } from "./text.js";

export function card(heading, ...children) {
  const id = uid("card");
  return h("section", { class: "card", "aria-labelledby": id }, h("h2", { id }, heading), children);
}

const none = () => h("span", { class: "muted" }, "–");
const time = (iso) => (iso ? h("span", {}, moment(iso), h("span", { class: "muted" }, " · "), when(iso)) : none());
const text = (value) => (value === null || value === undefined || value === "" ? none() : path(String(value)));

// Column: its value for reading.
const COLUMNS = {
  id: (image) => path(String(image.id)),
  collection: (image) => text(image.collection),
  original_path: (image) => text(image.original_path),
  content_type: (image) => text(image.content_type),
  object_id: (image) => text(image.object_id),
  variant: (image) => text(image.variant),
  content_type_header: (image) => text(image.content_type_header),
  file_size: (image) => `${bytes(image.file_size)} (${number(image.file_size)} ${t("unit.B")})`,
  width: (image) => (image.width ? number(image.width) : none()),
  height: (image) => (image.height ? number(image.height) : none()),
  encoding: (image) => text(image.image_url ? null : image.encoding ?? "base64"),
  image_url: (image) => text(image.image_url),
  sha256: (image) => text(image.sha256),
  source_mtime: (image) => time(image.source_mtime),
  created_at: (image) => time(image.created_at),
  updated_at: (image) => time(image.updated_at),
  last_accessed: (image) => time(image.last_accessed),
  access_count: (image) => number(image.access_count),
  deleted_at: (image) => time(image.deleted_at),
};

export function facts(image) {
  const rows = Object.entries(COLUMNS).map(([name, value]) =>
    h("div", { dataset: { column: name } }, h("dt", {}, t(`image.column.${name}`), h("code", { class: "column" }, name)), h("dd", {}, value(image))),
  );
  return card(t("image.facts"), h("dl", { class: "facts image-facts" }, rows));
}

const TIERS = ["memory", "disk", "redis", "db", "object"];
const KINDS = { yes: "good", current: "good", changed: "warning", missing: "warning" };

// A tier's state as a word: yes, no, none (there is no such tier), or what the disk has.
function held(value) {
  if (value === null || value === undefined) return "none";
  return typeof value === "boolean" ? (value ? "yes" : "no") : value;
}

export function tiers(image) {
  const row = (name) => {
    const state = held(image.tiers?.[name]);
    return h(
      "li",
      { dataset: { tier: name, state } },
      h("div", { class: "row tier" }, h("strong", {}, t(`image.tier.${name}`)), h("span", { class: `badge ${KINDS[state] ?? ""}` }, t(`image.held.${state}`))),
      has(`image.tier.${name}.${state}`) && h("p", { class: "muted detail" }, t(`image.tier.${name}.${state}`)),
    );
  };
  return card(t("image.tiers"), h("ul", { class: "stack image-tiers" }, TIERS.map(row)));
}

export function history(image) {
  const events = [...(image.history ?? [])].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  const word = (event) => (has(`image.event.${event}`) ? t(`image.event.${event}`) : event.replaceAll("_", " "));
  if (!events.length) return null;
  return card(t("image.history"), h("ol", { class: "image-history" }, events.map(({ at, event }) => h("li", { dataset: { event } }, h("span", {}, word(event)), h("span", { class: "muted" }, time(at))))));
}

function linked(name, address, shown) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(address);
      toast(t("image.copied"));
    } catch {
      toast(t("image.not.copied"), { kind: "warning" });
    }
  };
  return h(
    "li",
    { dataset: { link: name } },
    h("div", { class: "muted" }, t(`image.link.${name}`)),
    h(
      "div",
      { class: "row image-link" },
      h("a", { href: address, target: "_blank", rel: "noopener noreferrer", class: "grow" }, path(shown)),
      navigator.clipboard && h("button", { type: "button", class: "small", "aria-label": t("image.copy.what", { what: t(`image.link.${name}`) }), on: { click: copy } }, t("image.copy")),
    ),
  );
}

export function links(image) {
  const { content_type, object_id, variant } = image;
  const parts = content_type && object_id && variant ? [content_type, object_id, variant].map(encodeURIComponent) : null;
  const entity = parts && `/api/images/${parts.join("/")}`;
  const own = image.url && !image.deleted_at;
  if (!own && (!entity || image.deleted_at)) return card(t("image.links"), h("p", { class: "muted" }, t(image.deleted_at ? "image.link.trash" : "image.link.none")));
  return card(
    t("image.links"),
    h("ul", { class: "stack" }, own && linked("own", url(image.url), image.url), entity && linked("entity", url(entity), entity)),
  );
}

// "PNG · 640 × 480 · 12 KiB", with nothing said of what is not known.
export function summary(image) {
  return [typeName(image), image.width && image.height ? pixels(image) : null, bytes(image.file_size)].filter(Boolean).join(" · ");
}

export const warn = (...children) => h("p", { class: "row image-warn" }, icon("warning"), h("span", {}, children));
