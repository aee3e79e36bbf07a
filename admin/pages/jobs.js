// Jobs that run here, and those that ran, here or elsewhere.

import { del, get } from "../lib/api.js";
import { openDialog, toast } from "../lib/dialog.js";
import { h, replace } from "../lib/dom.js";
import { countsInWords, jobName, jobResult, stateClass, watchJob } from "../lib/job.js";
import { drawTable, pagedList } from "../lib/paged.js";
import { poll } from "../lib/state.js";
import { duration, moment, number, t, when } from "../lib/text.js";
import { describe, empty, loading, setQuery, title } from "../lib/view.js";

const EVERY_MS = 3000;
const PAGE = 50;
const KINDS = ["cache-all", "restore", "warmup", "cleanup", "sync", "check", "fsck", ...["restore", "invalidate", "trash", "undelete", "purge"].map((name) => `bulk-${name}`)];

export async function show(root, { query, signal }) {
  let chosen = query.kind ?? "";
  const running = h("div", { class: "stack" });
  const past = h("div", { class: "stack" }, loading());
  const select = h(
    "select",
    { id: "kind", value: chosen },
    h("option", { value: "" }, t("jobs.all")),
    KINDS.map((kind) => h("option", { value: kind }, jobName(kind))),
  );
  root.append(title(t("nav.jobs")), running, h("div", { class: "filters" }, h("p", { class: "field" }, h("label", { for: "kind" }, t("jobs.kind")), select)), past);

  const ask = (cursor) => get("/image-cache/jobs", { query: { kind: chosen, limit: PAGE, cursor }, signal });
  const list = pagedList({ ask, name: "recent", id: "id", draw: (jobs, more) => drawPast(past, jobs, more), signal });
  const read = async () => {
    const kind = chosen;
    const answer = await ask();
    if (kind !== chosen) return;
    drawRunning(running, answer.running ?? []);
    list.take(answer);
  };
  select.addEventListener("change", () => {
    chosen = select.value;
    list.clear();
    setQuery({ kind: chosen });
    read().catch((error) => signal.aborted || toast(describe(error), { kind: "error" }));
  });
  await poll(read, { every: EVERY_MS, signal });
}

// Running

function drawRunning(place, jobs) {
  const drawn = new Map([...place.querySelectorAll("[data-job]")].map((element) => [element.dataset.job, element]));
  const now = jobs.filter((job) => (job.state ?? "running") === "running");
  if (now.length === drawn.size && now.every((job) => drawn.has(String(job.id)))) {
    for (const job of now) drawn.get(String(job.id)).update(job);
    return;
  }
  replace(place, now.length > 0 && h("h2", {}, t("jobs.running")), now.map(runningCard));
}

function runningCard(job) {
  const bar = h("progress", { "aria-label": jobName(job.kind) });
  const text = h("span", { class: "muted" });
  const stop = h("button", { type: "button", class: "danger small", on: { click: () => cancel(job.id, stop) } }, t("job.cancel"));
  const watch = h("button", { type: "button", class: "small", on: { click: () => watchJob({ id: job.id, title: jobName(job.kind) }) } }, t("jobs.watch"));
  const element = h("div", { class: "card", dataset: { job: job.id } }, h("div", { class: "page-head" }, h("h3", {}, jobName(job.kind)), h("div", { class: "row" }, watch, stop)), bar, text);
  element.update = (latest) => {
    if (latest.expected > 0) {
      bar.max = latest.expected;
      bar.value = Math.min(latest.done, latest.expected);
    }
    const key = latest.expected > 0 ? "job.progress" : "job.progress.open";
    text.textContent = t(key, { done: number(latest.done ?? 0), expected: number(latest.expected ?? 0), time: duration(latest.seconds) });
  };
  element.update(job);
  return element;
}

async function cancel(id, button) {
  button.disabled = true;
  try {
    await del(`/image-cache/jobs/${id}`);
    toast(t("job.cancelling"), { kind: "info" });
  } catch (error) {
    button.disabled = false;
    if (error.status !== 409) toast(describe(error), { kind: "error" });
  }
}

// Past

function drawPast(place, jobs, more) {
  if (!jobs.length) {
    replace(place, empty(t("jobs.none"), t("jobs.none.hint"), h("a", { class: "button", href: "#/actions" }, t("nav.actions"))));
    return;
  }
  const heads = ["jobs.kind", "jobs.state", "jobs.when", "jobs.took", "jobs.host", "jobs.result"].map((key) => t(key));
  drawTable(place, { caption: t("nav.jobs"), heads: [...heads, h("span", { class: "unseen" }, t("jobs.details"))], rows: jobs.map(row), more });
}

function took(job) {
  return job.finished_at ? (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000 : null;
}

function row(job) {
  const details = h(
    "button",
    { type: "button", class: "small", "aria-label": t("jobs.details.of", { job: jobName(job.kind) }), on: { click: () => showDetails(job) } },
    t("jobs.details"),
  );
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, jobName(job.kind), " ", job.dry_run && h("span", { class: "badge" }, t("jobs.dry"))),
    h("td", { dataset: { label: t("jobs.state") } }, h("span", { class: `badge ${stateClass(job.state)}` }, t(`job.state.${job.state}`))),
    h("td", { class: "nowrap", dataset: { label: t("jobs.when") } }, when(job.started_at)),
    h("td", { class: "nowrap", dataset: { label: t("jobs.took") } }, duration(took(job))),
    h("td", { class: "anywhere", dataset: { label: t("jobs.host") } }, job.host),
    h("td", { dataset: { label: t("jobs.result") } }, countsInWords(job.result) || "–"),
    h("td", {}, details),
  );
}

function showDetails(job) {
  const { body } = openDialog({ title: jobName(job.kind), wide: true });
  const seconds = took(job);
  replace(
    body,
    h("p", { class: "muted" }, `${moment(job.started_at)} · ${job.host}`),
    jobResult({ ...job.result, state: job.state, ...(seconds === null ? {} : { seconds }) }),
  );
}
