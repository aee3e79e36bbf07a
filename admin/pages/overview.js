// How things are: what needs attention first, then the figures.

import { get } from "../lib/api.js";
import { bars, meter } from "../lib/chart.js";
import { h, icon, refresh } from "../lib/dom.js";
import { countsInWords, jobName, stateClass } from "../lib/job.js";
import { health, onHealth, poll, troubles } from "../lib/state.js";
import { ago, bytes, duration, has, moment, number, percent, t, when } from "../lib/text.js";
import { empty, link, loading, title } from "../lib/view.js";

const STATUS_MS = 5000;
const HISTORY_MS = 60000;
const LATE_SECONDS = 10; // so old may a file be that is not stored yet, before it is worth a word
const FILES_SHOWN = 20;
const EXAMPLES_SHOWN = 3; // of each kind
const HOURS = 48;
const MINUTES = 60;
const TIERS = ["memory", "disk", "redis", "db", "origin"];

let known = null; // the last status: shown until there is a newer one, also while there can't be one

export async function show(root, { signal }) {
  const body = h("div", { class: "stack wide-gap" }, loading());
  const charts = h("div", { class: "grid charts" });
  root.append(title(t("nav.overview")), body);
  let status = known;
  const draw = () => status && drawStatus(body, asOfNow(status), charts);
  onHealth(draw, signal);
  const history = async () => drawHistory(charts, await get("/image-cache/history", { query: { hours: HOURS }, signal }));
  const read = async () => {
    status = known = await get("/image-cache/status", { signal });
    draw();
  };
  draw();
  poll(history, { every: HISTORY_MS, signal }).catch(() => {});
  await poll(read, { every: STATUS_MS, signal });
}

// What /ready says is newer, and there also is while the database is away.
function asOfNow(status) {
  const ready = health();
  if (!ready?.database) return status;
  const up = { db: ready.database.state === "up", redis: ready.redis ? ready.redis.state === "up" : null };
  const tiers = (status.tiers ?? []).map((tier) => (tier.name in up ? { ...tier, up: up[tier.name] } : tier));
  return { ...status, tiers, redis: ready.redis, object_storage: ready.object_storage, feed: ready.feed ?? status.feed };
}

function drawStatus(body, status, charts) {
  refresh(
    body,
    attention(status),
    figures(status),
    charts,
    h("div", { class: "grid halves" }, tiers(status), services(status)),
    unpersisted(status),
    notKept(status),
    collections(status),
    jobs(status),
  );
}

// What needs attention

// All of it in words, the worst first: [kind, text, detail, href].
function concerns(status) {
  const list = troubles().map(({ key, kind }) => [kind, t(key)]);
  const { watch, uploads, feed, cleanup } = status;
  if (watch?.deletes_stopped) list.push(["error", t("attention.deletes")]);
  if (watch?.failed > 0) list.push(["error", t("attention.failed", { count: watch.failed }), null, "#files"]);
  if (uploads?.failed > 0) {
    list.push(["error", t("attention.uploads.failed", { count: uploads.failed }), uploads.reason, link("/uploads", { state: "failed" })]);
  }
  for (const job of latestOfKind(status.jobs)) {
    if (job.state === "failed") list.push(["error", t("attention.job", { job: jobName(job.kind), when: ago(job.finished_at ?? job.started_at) }), job.result?.failure, "#/jobs"]);
    if (job.state === "done_with_failures") list.push(["warning", t("attention.job.partly", { job: jobName(job.kind), when: ago(job.finished_at ?? job.started_at) }), undefined, "#/jobs"]);
  }
  if (watch?.oldest_pending_seconds > LATE_SECONDS) {
    list.push(["warning", t("attention.pending", { count: watch.pending, age: duration(watch.oldest_pending_seconds) }), null, "#files"]);
  }
  if (uploads?.pending > 0 && uploads.reason) {
    list.push(["warning", t("attention.uploads.pending", { count: uploads.pending, age: duration(uploads.oldest_seconds) }), uploads.failed > 0 ? null : uploads.reason, "#/uploads"]);
  }
  if (cleanup?.refused) list.push(["warning", t("attention.cleanup.refused"), cleanup.refused]);
  if (cleanup?.announced_images > 0) {
    list.push(["warning", t("attention.cleanup.announced", { count: cleanup.announced_images, days: cleanup.days, when: moment(cleanup.announced_from, { dateStyle: "medium" }) }), null, link("/images", { order: "hottest" })]);
  }
  if (cleanup?.undecided_images > 0) {
    list.push(["warning", t("attention.cleanup.undecided", { count: cleanup.undecided_images }), "perdura restore --cleaned-up"]);
  }
  if (watch?.not_kept > 0) list.push(["warning", t("attention.notkept", { count: watch.not_kept }), null, "#notkept"]);
  if (watch?.mode === "polling") list.push(["warning", t("attention.polling"), watch.why]);
  if (feed && feed.mode !== "listening" && feed.why) list.push(["warning", t("attention.feed"), feed.why]);
  for (const text of status.settings_warnings ?? []) list.push(["warning", t("attention.setting"), text, "#/settings"]);
  return list.sort((a, b) => (a[0] === "error" ? 0 : 1) - (b[0] === "error" ? 0 : 1));
}

function latestOfKind(jobs) {
  const kinds = new Map();
  for (const job of jobs ?? []) if (!kinds.has(job.kind)) kinds.set(job.kind, job);
  return kinds.values();
}

function attention(status) {
  const list = concerns(status);
  if (!list.length && status.images === 0) {
    return empty(t("overview.none"), t("overview.none.hint"), h("a", { class: "button primary", href: "#/actions" }, t("overview.none.action")));
  }
  const items = list.map(([kind, text, detail, href]) =>
    h(
      "li",
      { class: kind },
      icon(kind),
      h("div", {}, href ? h("a", { href, on: { click: jump } }, text) : text, detail && h("p", { class: "detail muted", dir: "auto" }, detail)),
    ),
  );
  return h(
    "section",
    { class: `card attention ${list[0]?.[0] ?? "good"}`, "aria-labelledby": "attention" },
    h("h2", { id: "attention" }, list.length ? t("attention.title", { count: list.length }) : h("span", { class: "row" }, icon("check"), t("attention.none"))),
    list.length > 0 && h("ul", { class: "concerns" }, items),
  );
}

// To a place on this page, which is no page of its own.
function jump(event) {
  const id = event.currentTarget.getAttribute("href").slice(1);
  const target = id.startsWith("/") ? null : document.getElementById(id);
  if (!target) return;
  event.preventDefault();
  target.scrollIntoView();
  target.focus();
}

// Figures

function figure(name, value, note) {
  return h("div", { class: "card tight" }, h("dt", { class: "muted" }, name), h("dd", {}, h("span", { class: "figure", style: { "--length": value.length } }, value), note && h("p", { class: "muted detail" }, note)));
}

function figures(status) {
  const { watch, uploads } = status;
  return h(
    "dl",
    { class: "grid figures" },
    figure(t("overview.images"), number(status.images), t("overview.bytes", { size: bytes(status.bytes) })),
    figure(t("overview.trash"), number(status.trash_images), bytes(status.trash_bytes)),
    figure(
      t("overview.pending"),
      number(watch?.pending ?? 0),
      watch?.pending > 0 ? t("overview.oldest", { age: duration(watch.oldest_pending_seconds) }) : t("overview.all.stored"),
    ),
    figure(t("overview.failed"), number(watch?.failed ?? 0), watch?.failed > 0 ? h("a", { href: "#files", on: { click: jump } }, t("overview.reasons")) : t("overview.no.failed")),
    uploads && (uploads.pending > 0 || uploads.failed > 0)
      ? figure(t("overview.uploads"), number(uploads.pending + uploads.failed), t("overview.oldest", { age: duration(uploads.oldest_seconds) }))
      : null,
  );
}

// Charts

function drawHistory(place, history) {
  refresh(place, readsChart(fullHour(history.minutes ?? [])), requestsChart(history.hours ?? []));
}

function card(...children) {
  return h("section", { class: "card" }, children);
}

const HOUR_MINUTE = { hour: "2-digit", minute: "2-digit" };

// An instance that was started a moment ago has a short history; the chart has its whole width all the same.
function fullHour(minutes) {
  const first = minutes.length ? Date.parse(minutes[0].at) : Date.now();
  const missing = Math.max(0, MINUTES - minutes.length);
  return [...Array.from({ length: missing }, (_, i) => ({ at: first - (missing - i) * 60000 })), ...minutes];
}

function readsChart(minutes) {
  const known = TIERS.filter((tier) => tier !== "origin" || minutes.some((minute) => minute.origin > 0));
  const series = known.map((tier, i) => ({ name: tierName(tier), tone: i + 1, values: minutes.map((minute) => minute[tier] ?? 0) }));
  series.push({ name: t("chart.missed"), tone: 6, values: minutes.map((minute) => (minute.missed ?? 0) + (minute.errors ?? 0)) });
  const heading = t("chart.reads");
  if (!series.some((one) => one.values.some((value) => value > 0))) return card(h("h2", {}, heading), h("p", { class: "muted" }, t("chart.reads.none")));
  const labels = minutes.map((minute) => moment(minute.at, HOUR_MINUTE));
  return card(bars({ title: heading, labels, series, column: t("chart.minute") }));
}

function requestsChart(hours) {
  const heading = t("chart.requests", { hours: HOURS });
  const names = [...new Set(hours.map((row) => row.collection))].slice(0, 6);
  if (!hours.some((row) => row.requests > 0)) return card(h("h2", {}, heading), h("p", { class: "muted" }, t("chart.requests.none")));
  const now = Math.floor(Date.now() / 3600000);
  const slots = Array.from({ length: HOURS }, (_, i) => now - HOURS + 1 + i);
  const found = new Map(hours.map((row) => [`${Math.floor(Date.parse(row.hour) / 3600000)} ${row.collection}`, row.requests]));
  const series = names.map((name, i) => ({ name, tone: i + 1, values: slots.map((slot) => found.get(`${slot} ${name}`) ?? 0) }));
  const labels = slots.map((slot) => moment(slot * 3600000, { weekday: "short", hour: "2-digit", minute: "2-digit" }));
  return card(bars({ title: heading, labels, series, column: t("chart.hour") }));
}

// Tiers and what is behind them

export function tierName(tier) {
  return has(`tier.${tier}`) ? t(`tier.${tier}`) : tier;
}

function stateBadge(up) {
  if (up === null || up === undefined) return h("span", { class: "badge" }, t("state.off"));
  return h("span", { class: `badge ${up ? "good" : "error"}` }, up ? t("state.up") : t("state.down"));
}

function tiers(status) {
  const list = status.tiers ?? [];
  if (!list.length) return null;
  const rows = list.map((tier) => {
    const rate = tier.hit_rate;
    const known = typeof rate === "number";
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, tierName(tier.name)),
      h("td", { dataset: { label: t("tiers.state") } }, stateBadge(tier.up)),
      h("td", { class: "number", dataset: { label: t("tiers.reads") } }, number(tier.reads)),
      h("td", { class: "number", dataset: { label: t("tiers.hits") } }, known ? h("span", { class: "rate" }, percent(rate), meter(rate, percent(rate))) : "–"),
      h("td", { class: "number", dataset: { label: t("tiers.holds") } }, holds(tier)),
    );
  });
  return h(
    "section",
    { class: "card" },
    h("h2", {}, t("tiers.title")),
    h(
      "table",
      { class: "table" },
      h("thead", {}, h("tr", {}, ["tier", "state", "reads", "hits", "holds"].map((name, i) => h("th", { scope: "col", class: i > 1 ? "number" : "" }, t(`tiers.${name}`))))),
      h("tbody", {}, rows),
    ),
  );
}

function holds(tier) {
  if (tier.items === null || tier.items === undefined) return tier.bytes ? bytes(tier.bytes) : "–";
  return h("span", { class: "lines-2" }, t("count.images", { count: tier.items }), tier.bytes ? h("span", { class: "muted" }, bytes(tier.bytes)) : null);
}

function service(name, badge, detail) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, badge, detail && h("p", { class: "muted detail", dir: "auto" }, detail)));
}

function modeBadge(prefix, mode, fine) {
  return h("span", { class: `badge ${fine ? "good" : "warning"}` }, has(`${prefix}.${mode}`) ? t(`${prefix}.${mode}`) : mode);
}

function upBadge(part) {
  return stateBadge(part ? part.state !== "down" : null);
}

function services(status) {
  const { watch, feed, redis } = status;
  const objects = status.object_storage;
  const down = troubles().some(({ key }) => key === "down.database" || key === "down.server");
  return h(
    "section",
    { class: "card" },
    h("h2", {}, t("services.title")),
    h(
      "dl",
      { class: "facts" },
      service("PostgreSQL", stateBadge(!down), t("services.postgres", { version: status.server_version, size: bytes(status.stored_bytes) })),
      service("Redis", upBadge(redis), redis?.detail || redis?.server),
      service(t("services.objects"), upBadge(objects), objects?.detail || objects?.where),
      service(
        t("services.watch"),
        watch ? modeBadge("watch", watch.mode, watch.mode !== "polling") : stateBadge(null),
        watch && (watch.why || t("services.folders", { count: watch.folders })),
      ),
      service(t("services.feed"), feed ? modeBadge("feed", feed.mode, feed.mode === "listening") : stateBadge(null), feed && (feed.why || t("services.instances", { count: status.listeners ?? 1 }))),
      status.uptime_seconds === undefined ? null : service(t("services.instance"), h("span", {}, status.host), t("services.uptime", { time: duration(status.uptime_seconds), version: status.version })),
    ),
  );
}

// Files that are not stored

function unpersisted(status) {
  const files = status.unpersisted ?? [];
  if (!files.length) return null;
  const rows = files.slice(0, FILES_SHOWN).map((file) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", { class: "path" }, `${file.collection}/${file.path}`)),
      h("td", { dataset: { label: t("files.state") } }, h("span", { class: `badge ${file.state === "failed" ? "error" : "warning"}` }, t(`files.${file.state}`))),
      h("td", { class: "nowrap", dataset: { label: t("files.age") } }, duration(file.age_seconds)),
      h("td", { dataset: { label: t("files.reason") } }, h("span", { dir: "auto" }, file.reason ?? "–")),
    ),
  );
  return h(
    "section",
    { class: "card", id: "files", tabindex: "-1" },
    h("h2", {}, t("files.title")),
    h(
      "table",
      { class: "table" },
      h("thead", {}, h("tr", {}, ["name", "state", "age", "reason"].map((name) => h("th", { scope: "col" }, t(`files.${name}`))))),
      h("tbody", {}, rows),
    ),
    more(unpersistedCount(status.watch) - rows.length),
  );
}

function unpersistedCount(watch) {
  return (watch?.failed ?? 0) + (watch?.pending ?? 0) + (watch?.older ?? 0);
}

function more(count) {
  return count > 0 && h("p", { class: "muted" }, t("files.more", { count }));
}

// Files that are not images, by the endings of their names

function notKept(status) {
  const kinds = Object.entries(status.not_kept_files?.kinds ?? {});
  if (!kinds.length) return null;
  const endsAs = (file, kind) => file.path.toLowerCase().endsWith(`.${kind}`);
  const known = kinds.map(([kind]) => kind).filter((kind) => kind !== "other");
  const examples = (kind) =>
    status.not_kept_files.files
      .filter((file) => (kind === "other" ? !known.some((one) => endsAs(file, one)) : endsAs(file, kind)))
      .slice(0, EXAMPLES_SHOWN)
      .map((file) => h("span", { class: "path" }, `${file.collection}/${file.path}`));
  const rows = kinds.map(([kind, count]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, kind),
      h("td", { class: "number", dataset: { label: t("notkept.files") } }, number(count)),
      h("td", { dataset: { label: t("notkept.examples") } }, h("span", { class: "lines-2" }, examples(kind))),
    ),
  );
  return h(
    "section",
    { class: "card", id: "notkept", tabindex: "-1" },
    h("h2", {}, t("notkept.title")),
    h(
      "table",
      { class: "table" },
      h("thead", {}, h("tr", {}, ["kind", "files", "examples"].map((name, i) => h("th", { scope: "col", class: i === 1 ? "number" : "" }, t(`notkept.${name}`))))),
      h("tbody", {}, rows),
    ),
  );
}

function collections(status) {
  const list = status.collections ?? [];
  if (!list.length) return null;
  const rows = list.map((one) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("a", { href: link("/images", { collection: one.name }) }, one.name)),
      h("td", { class: "number", dataset: { label: t("overview.images") } }, number(one.images)),
      h("td", { class: "number", dataset: { label: t("collections.size") } }, bytes(one.bytes)),
      h("td", { class: "number", dataset: { label: t("overview.trash") } }, number(one.trash_images)),
      h("td", { class: "number", dataset: { label: t("collections.trash.size") } }, bytes(one.trash_bytes)),
    ),
  );
  const heads = ["collections.name", "overview.images", "collections.size", "overview.trash", "collections.trash.size"];
  return h(
    "section",
    { class: "card" },
    h("h2", {}, t("collections.title")),
    h("table", { class: "table" }, h("thead", {}, h("tr", {}, heads.map((key, i) => h("th", { scope: "col", class: i ? "number" : "" }, t(key))))), h("tbody", {}, rows)),
  );
}

function jobs(status) {
  const list = (status.jobs ?? []).slice(0, 6);
  const items = list.map((job) =>
    h(
      "li",
      {},
      h("span", { class: `badge ${stateClass(job.state)}` }, t(`job.state.${job.state}`)),
      h("strong", {}, jobName(job.kind)),
      when(job.finished_at ?? job.started_at),
      h("span", { class: "muted" }, countsInWords(job.result)),
    ),
  );
  return h(
    "section",
    { class: "card" },
    h("header", { class: "page-head" }, h("h2", {}, t("overview.jobs")), h("a", { href: "#/jobs" }, t("overview.jobs.all"))),
    items.length ? h("ul", { class: "lines" }, items) : h("p", { class: "muted" }, t("overview.jobs.none")),
  );
}
