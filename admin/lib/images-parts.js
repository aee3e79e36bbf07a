// The parts of one image's page.

import { url } from "./api.js";
import { toast } from "./dialog.js";
import { h, icon, replace, uid } from "./dom.js";
import { changeImage, publicUrl, replaceImage } from "./images-api.js";
import { path } from "./images-show.js";
import { bytes, has, moment, number, percent, t, when } from "./text.js";
import { describe, notice } from "./view.js";

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
  file_size: (image) => bytes(image.file_size) + (image.file_size < 1024 ? "" : ` (${number(image.file_size)} ${t("unit.B")})`),
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
    h("div", { dataset: { column: name } }, h("dt", {}, t(`images.column.${name}`), h("code", { class: "column" }, name)), h("dd", {}, value(image))),
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
      !image.deleted_at && has(`image.tier.${name}.${state}`) && h("p", { class: "muted detail" }, t(`image.tier.${name}.${state}`)),
    );
  };
  return card(t("image.tiers"), h("ul", { class: "stack image-tiers" }, TIERS.map(row)));
}

// An event has the name of the column that keeps its time.
const EVENTS = { file_written: "source_mtime", created: "created_at", changed: "updated_at", accessed: "last_accessed", deleted: "deleted_at" };

export function history(image) {
  const events = [...(image.history ?? [])].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  const word = (event) => t(`images.column.${EVENTS[event] ?? event}`);
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
    h("ul", { class: "stack" }, own && linked("own", publicUrl(image), image.url), entity && linked("entity", url(entity), entity)),
  );
}

export const warn = (...children) => h("p", { class: "row image-warn" }, icon("warning"), h("span", {}, children));

// What an image belongs to, and the form to change that.

const NAMES = ["content_type", "object_id", "variant"];

// {element, draw(image)}. `changed(image)` is called with what the server says it is now.
export function entityForm(changed) {
  let image = null;
  const fields = Object.fromEntries(
    NAMES.map((name) => [name, h("input", { id: uid(name), name, type: "text", maxlength: 200, dir: "auto", autocomplete: "off", autocapitalize: "off", spellcheck: "false", on: { input: () => mark() } })]),
  );
  const save = h("button", { type: "submit", class: "primary" }, t("image.entity.save"));
  const undo = h("button", { type: "button", on: { click: () => fill() } }, t("image.entity.undo"));
  const said = h("div", {});
  const hint = h("p", { class: "muted" });

  const edits = () => Object.fromEntries(NAMES.filter((name) => fields[name].value.trim() !== (image[name] ?? "")).map((name) => [name, fields[name].value.trim() || null]));
  const isChanged = () => image && Object.keys(edits()).length > 0;

  function mark() {
    save.disabled = undo.disabled = !isChanged();
  }

  function fill() {
    for (const name of NAMES) {
      fields[name].value = image[name] ?? "";
      fields[name].disabled = Boolean(image.deleted_at);
    }
    hint.textContent = t(image.deleted_at ? "image.entity.trash" : "image.entity.hint");
    replace(said);
    mark();
  }

  async function send(event) {
    event.preventDefault();
    if (!isChanged()) return;
    save.disabled = true;
    replace(said);
    try {
      const now = await changeImage(image.id, edits());
      toast(t("image.entity.saved"));
      image = { ...image, ...now };
      fill();
      changed(now);
    } catch (error) {
      replace(said, notice("error", h("p", {}, describe(error))));
      mark();
    }
  }

  const rows = NAMES.map((name) => h("div", { class: "field" }, h("label", { for: fields[name].id }, t(`images.column.${name}`)), fields[name]));
  const form = h("form", { class: "stack", on: { submit: send } }, h("div", { class: "filters image-entity" }, rows), said, h("div", { class: "row" }, save, undo));
  return {
    element: card(t("image.entity"), hint, form),
    // Who is typing is not disturbed by what is heard meanwhile.
    draw(next) {
      const typing = isChanged();
      image = next;
      if (typing) mark();
      else fill();
    },
  };
}

// Another content for an image: chosen or dropped, looked at, sent.

const PRECONDITION_FAILED = 412;

// {element, draw(image)}. `done()` is called when the content may be another one. `signal`: of the page.
export function replaceForm({ done, signal }) {
  let image = null;
  let file = null;
  let preview = "";
  let sending = null;
  const input = h("input", { id: uid("file"), type: "file", accept: "image/*", class: "unseen", on: { change: () => choose(input.files[0]) } });
  const zone = h("label", { class: "image-drop", for: input.id }, icon("uploads"), h("span", {}, t("image.replace.choose")));
  const body = h("div", { class: "stack" });
  const element = card(t("image.replace"), body);

  for (const type of ["dragenter", "dragover"]) zone.addEventListener(type, (event) => (event.preventDefault(), zone.classList.add("over")));
  for (const type of ["dragleave", "drop"]) zone.addEventListener(type, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => (event.preventDefault(), event.dataTransfer.files[0] && choose(event.dataTransfer.files[0])));
  signal.addEventListener("abort", () => (sending?.abort(), forgetFile()), { once: true });

  function forgetFile() {
    URL.revokeObjectURL(preview);
    [file, preview] = [null, ""];
    input.value = "";
  }

  function choose(chosen) {
    if (!chosen || sending) return;
    URL.revokeObjectURL(preview);
    file = chosen;
    preview = URL.createObjectURL(file);
    drawChosen();
    body.querySelector(".primary").focus();
  }

  function drawIdle(...above) {
    if (image.deleted_at) return replace(body, h("p", { class: "muted" }, t("image.replace.trash")));
    if (!image.url) return replace(body, h("p", { class: "muted" }, t("image.replace.unserved")));
    return replace(body, above, h("p", { class: "muted" }, t("image.replace.hint")), input, zone);
  }

  function drawChosen(...above) {
    const other = file.type && file.type !== image.content_type_header;
    replace(
      body,
      above,
      h("div", { class: "row image-chosen" }, h("img", { src: preview, alt: t("image.replace.preview"), width: 96, height: 72, on: { error: (event) => event.target.remove() } }), h("div", {}, h("bdi", { class: "path" }, file.name), h("div", { class: "muted" }, `${bytes(image.file_size)} → ${bytes(file.size)}`))),
      file.size === 0 && warn(t("image.replace.empty")),
      other && warn(t("image.replace.other", { before: image.content_type_header, after: file.type })),
      h("div", { class: "row" }, h("button", { type: "button", class: "primary", disabled: file.size === 0, on: { click: send } }, t("image.replace.send")), h("button", { type: "button", on: { click: back } }, t("cancel"))),
    );
  }

  function back() {
    forgetFile();
    drawIdle();
    input.focus();
  }

  async function send() {
    sending = new AbortController();
    const bar = h("progress", { max: file.size, value: 0, "aria-label": t("image.replace.sending") });
    const said = h("p", { class: "muted" }, t("image.replace.sending"));
    replace(body, said, bar, h("div", { class: "row" }, h("button", { type: "button", on: { click: () => sending.abort() } }, t("cancel"))));
    body.querySelector("button").focus();
    const onProgress = (sent, all) => {
      bar.value = sent;
      // What is sent is not stored yet.
      said.textContent = sent < all ? t("image.replace.sent", { share: percent(sent / all) }) : t("image.replace.storing");
    };
    try {
      const answer = await replaceImage(image, file, { onProgress, signal: sending.signal });
      sending = null;
      toast(t(answer.unchanged ? "image.replace.same" : "image.replace.done"));
      back();
      done();
    } catch (error) {
      const gone = signal.aborted;
      sending = null;
      if (!gone) failed(error);
    }
  }

  function failed(error) {
    if (error.name === "AbortError") return drawChosen(notice("info", h("p", {}, t("image.replace.stopped"))));
    drawChosen(notice("error", h("p", {}, error.status === PRECONDITION_FAILED ? t("image.replace.changed") : describe(error))));
    body.querySelector(".primary").focus();
    if (error.status === PRECONDITION_FAILED) done();
  }

  return {
    element,
    draw(next) {
      const before = image;
      image = next;
      if (!sending && !file && (!before || before.deleted_at !== next.deleted_at || before.url !== next.url)) drawIdle();
    },
  };
}
