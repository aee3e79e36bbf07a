// What can be done, each with what it means, its arguments, and a preview where there is one.

import { get, post } from "../lib/api.js";
import { toast } from "../lib/dialog.js";
import { h, replace, uid } from "../lib/dom.js";
import { runJob } from "../lib/job.js";
import { poll } from "../lib/state.js";
import { t } from "../lib/text.js";
import { describe, notice, title } from "../lib/view.js";

const HOURS_MS = 3600000;

export async function show(root, { signal }) {
  const choice = collectionChoice();
  root.append(
    title(t("nav.actions")),
    h("p", { class: "muted" }, t("actions.intro")),
    group("actions.group.store", [cacheAll(), flush(), sync()]),
    group("actions.group.restore", [restore(choice()), warmup(choice())]),
    group("actions.group.look", [check(), fsck()]),
    group("actions.group.clear", [invalidate(choice()), cleanup()]),
  );
  const read = async () => choice.fill((await get("/image-cache/status", { signal })).collections ?? []);
  await poll(read, { every: HOURS_MS, signal });
}

function group(key, cards) {
  return h("section", { class: "stack" }, h("h2", {}, t(key)), h("div", { class: "grid actions" }, cards));
}

// Fields

function field(key, input, hint) {
  input.id = uid("field");
  const note = hint && h("span", { class: "hint", id: uid("hint") }, t(hint));
  if (note) input.setAttribute("aria-describedby", note.id);
  return h("p", { class: "field" }, h("label", { for: input.id }, t(key)), input, note);
}

function tick(key) {
  const input = h("input", { type: "checkbox", id: uid("field") });
  return { input, element: h("p", { class: "check" }, input, h("label", { for: input.id }, t(key))) };
}

// Makes <select>s of the collections, which are filled when they are known.
function collectionChoice() {
  const selects = [];
  const make = () => {
    const select = h("select", {}, h("option", { value: "" }, t("actions.all.collections")));
    selects.push(select);
    return select;
  };
  make.fill = (collections) => {
    for (const select of selects) {
      const value = select.value;
      replace(select, h("option", { value: "" }, t("actions.all.collections")), collections.map(({ name }) => h("option", { value: name }, name)));
      select.value = value;
    }
  };
  return make;
}

// One action: `fields` above its button; run() is called when the button is pressed, and what it throws is shown.
function action(name, { fields = [], run, danger = false, button }) {
  const said = h("div", { role: "status" });
  const press = h("button", { type: "submit", class: danger ? "danger" : "primary" }, t(button ?? "actions.run"));
  const form = h(
    "form",
    { class: "card action", id: `action-${name}`, "aria-labelledby": `action-${name}-title` },
    h("h3", { id: `action-${name}-title` }, t(`job.kind.${name}`)),
    h("p", { class: "muted" }, t(`actions.${name}.means`)),
    fields,
    said,
    h("p", { class: "row" }, press),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    press.disabled = true;
    replace(said);
    try {
      await run(said);
    } catch (error) {
      replace(said, notice("error", h("p", {}, describe(error))));
    } finally {
      press.disabled = false;
      if (document.activeElement === document.body) press.focus();
    }
  });
  return form;
}

function job(name, body = {}, options = {}) {
  return runJob({ path: `/image-cache/${name}`, body, title: t(`job.kind.${name}`), ...options });
}

// Actions

function cacheAll() {
  const checksum = tick("actions.cache-all.checksum");
  const run = () => job("cache-all", { checksum: checksum.input.checked }, { preview: true, action: t("actions.cache-all.do") });
  return action("cache-all", { fields: [checksum.element], run, button: "actions.preview" });
}

function flush() {
  return action("flush", {
    run: async (said) => {
      replace(said, h("p", { class: "muted" }, t("actions.flush.waiting")));
      const { not_kept: notKept } = await post("/image-cache/flush");
      replace(said, notKept > 0 && h("p", {}, t("attention.notkept", { count: notKept })));
      toast(t("actions.flush.done"));
    },
  });
}

function sync() {
  return action("sync", { run: () => job("sync") });
}

function restore(collection) {
  const paths = h("textarea", { rows: "3", spellcheck: "false", dir: "ltr", class: "mono" });
  const force = tick("actions.restore.force");
  const run = () => {
    const named = lines(paths.value);
    const body = { force: force.input.checked };
    if (collection.value) body.collection = collection.value;
    if (named.length) body.paths = named;
    return job("restore", body, { preview: true, action: t("actions.restore.do") });
  };
  return action("restore", {
    fields: [field("actions.collection", collection), field("actions.restore.paths", paths, "actions.restore.paths.hint"), force.element],
    run,
    button: "actions.preview",
  });
}

function lines(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean);
}

function warmup(collection) {
  const images = h("input", { type: "number", min: "1", step: "1", inputmode: "numeric" });
  const run = () => {
    const body = {};
    if (collection.value) body.collection = collection.value;
    if (images.value) body.images = Number(images.value);
    return job("warmup", body, { preview: true, action: t("actions.warmup.do") });
  };
  return action("warmup", {
    fields: [field("actions.collection", collection), field("actions.warmup.images", images, "actions.warmup.images.hint")],
    run,
    button: "actions.preview",
  });
}

function check() {
  return action("check", { run: () => job("check") });
}

function fsck() {
  return action("fsck", { run: () => job("fsck") });
}

function cleanup() {
  const days = h("input", { type: "number", min: "1", max: "36500", step: "1", inputmode: "numeric" });
  const run = () =>
    job("cleanup", days.value ? { days: Number(days.value) } : {}, {
      preview: true,
      danger: true,
      intro: t("actions.cleanup.intro"),
      action: t("actions.cleanup.do"),
    });
  return action("cleanup", { fields: [field("actions.cleanup.days", days, "actions.cleanup.days.hint")], run, button: "actions.preview" });
}

// A path in all collections is a pattern, in which its own characters stand for themselves.
function meant(kind, what, collection) {
  if (kind === "pattern") return { pattern: what };
  if (collection) return { path: what, collection };
  return { pattern: `image:path:*:${what.replace(/[*?[\\]/g, "\\$&")}` };
}

function invalidate(collection) {
  const what = h("input", { type: "text", required: true, spellcheck: "false", autocomplete: "off", dir: "ltr" });
  const kind = h(
    "select",
    {},
    ["path", "pattern"].map((name) => h("option", { value: name }, t(`actions.invalidate.${name}`))),
  );
  const where = field("actions.collection", collection);
  kind.addEventListener("change", () => (where.hidden = kind.value === "pattern"));
  const run = async () => {
    const answer = await post("/image-cache/invalidate", meant(kind.value, what.value.trim(), collection.value));
    const told = answer.others === "told" ? "actions.invalidate.told" : "actions.invalidate.alone";
    toast(`${t("actions.invalidate.done", { count: answer.invalidated })} ${t(told)}`, { kind: answer.others === "told" ? "good" : "warning" });
  };
  return action("invalidate", {
    fields: [field("actions.invalidate.by", kind), field("actions.invalidate.what", what, "actions.invalidate.hint"), where],
    run,
  });
}
