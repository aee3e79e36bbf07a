// Uploads on their way to buckets.

import { get } from "../lib/api.js";
import { toast } from "../lib/dialog.js";
import { h, replace } from "../lib/dom.js";
import { runJob } from "../lib/job.js";
import { drawTable, pagedList } from "../lib/paged.js";
import { poll } from "../lib/state.js";
import { bytes, duration, number, t, when } from "../lib/text.js";
import { describe, empty, loading, notice, setQuery, title } from "../lib/view.js";

const EVERY_MS = 5000;
const PAGE = 50;
const STATES = ["pending", "failed", "completed"];
const CLASSES = { pending: "warning", failed: "error", completed: "good" };

export async function show(root, { query, signal }) {
  let chosen = { state: query.state ?? "", collection: query.collection ?? "" };
  let possible = true; // there are buckets
  const summary = h("div", { class: "stack" });
  const place = h("div", { class: "stack" }, loading());
  const byState = select("state", chosen.state, [["", t("uploads.all")], ...STATES.map((name) => [name, t(`uploads.${name}`)])]);
  const byCollection = select("collection", chosen.collection, [["", t("actions.all.collections")]]);
  const syncNow = h(
    "button",
    { type: "button", class: "primary", on: { click: () => runJob({ path: "/image-cache/sync", title: t("job.kind.sync") }).then(() => read().catch(() => {})) } },
    t("uploads.sync"),
  );
  root.append(
    title(t("nav.uploads"), syncNow),
    h("p", { class: "muted" }, t("uploads.intro")),
    summary,
    h("div", { class: "filters" }, field("uploads.state", byState), field("actions.collection", byCollection)),
    place,
  );

  const ask = (cursor) => get("/image-cache/uploads", { query: { ...chosen, limit: PAGE, cursor }, signal });
  const list = pagedList({ ask, name: "uploads", id: "temp_filename", draw: (uploads, more) => drawList(place, uploads, more, { ...chosen, possible }), signal });
  const read = async () => {
    const asked = chosen;
    const [stats, answer] = await Promise.all([get("/cache-stats", { signal }), ask()]);
    if (asked !== chosen) return;
    const collections = Object.keys(stats.by_type ?? {});
    drawSummary(summary, stats);
    fillCollections(byCollection, collections, chosen.collection);
    possible = collections.length > 0;
    list.take(answer);
  };
  const changed = () => {
    chosen = { state: byState.value, collection: byCollection.value };
    list.clear();
    setQuery(chosen);
    read().catch((error) => signal.aborted || toast(describe(error), { kind: "error" }));
  };
  byState.addEventListener("change", changed);
  byCollection.addEventListener("change", changed);
  await poll(read, { every: EVERY_MS, signal });
}

function select(id, value, options) {
  return h("select", { id, value }, options.map(([code, name]) => h("option", { value: code }, name)));
}

function field(key, input) {
  return h("p", { class: "field" }, h("label", { for: input.id }, t(key)), input);
}

function fillCollections(element, names, value) {
  const all = value && !names.includes(value) ? [...names, value] : names;
  if (element.options.length === all.length + 1) return;
  replace(element, h("option", { value: "" }, t("actions.all.collections")), all.map((name) => h("option", { value: name }, name)));
  element.value = value;
}

function fact(name, value, note, words = false) {
  return h("div", { class: "card tight" }, h("dt", { class: "muted" }, name), h("dd", {}, h("span", { class: `figure ${words ? "words" : ""}` }, value), note && h("p", { class: "muted detail" }, note)));
}

function drawSummary(place, stats) {
  const { uploads } = stats;
  const last = stats.last_sync;
  replace(
    place,
    uploads?.reason && notice(uploads.failed > 0 ? "error" : "warning", h("p", {}, t("uploads.reason")), h("p", { class: "detail", dir: "auto" }, uploads.reason)),
    h(
      "dl",
      { class: "grid figures" },
      fact(t("uploads.pending"), number(uploads?.pending ?? 0), uploads?.pending > 0 ? t("overview.oldest", { age: duration(uploads.oldest_seconds) }) : t("uploads.nothing.waits")),
      fact(t("uploads.failed"), number(uploads?.failed ?? 0)),
      fact(t("uploads.bytes"), bytes(uploads?.bytes ?? 0), null, true),
      fact(t("uploads.last"), last ? when(last.finished_at ?? last.started_at) : t("uploads.never"), last && t(`job.state.${last.state}`), true),
    ),
  );
}

function drawList(place, uploads, more, { state, collection, possible }) {
  if (!uploads.length) {
    replace(
      place,
      state || collection ? empty(t("uploads.none.found"), t("uploads.none.found.hint")) : empty(t("uploads.none"), t(possible ? "uploads.none.hint" : "uploads.none.setting")),
    );
    return;
  }
  const heads = ["uploads.name", "uploads.state", "uploads.size", "uploads.created", "uploads.attempts", "uploads.where"].map((key) => t(key));
  drawTable(place, { caption: t("nav.uploads"), heads, rows: uploads.map(row), more });
}

function row(upload) {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("span", { class: "path" }, upload.temp_filename), h("p", { class: "muted" }, upload.collection)),
    h("td", { dataset: { label: t("uploads.state") } }, h("span", { class: `badge ${CLASSES[upload.state] ?? ""}` }, t(`uploads.${upload.state}`))),
    h("td", { class: "nowrap", dataset: { label: t("uploads.size") } }, bytes(upload.size)),
    h("td", { class: "nowrap", dataset: { label: t("uploads.created") } }, when(upload.created_at)),
    h("td", { dataset: { label: t("uploads.attempts") } }, number(upload.attempts)),
    h(
      "td",
      { dataset: { label: t("uploads.where") } },
      upload.reason ? h("span", { dir: "auto" }, upload.reason) : upload.completed_at ? h("span", { class: "path" }, upload.path) : "–",
    ),
  );
}
