// One job in a dialog: what it would do, how it gets on, what came of it.

import { ApiError, del, get, post, url } from "./api.js";
import { openDialog, toast } from "./dialog.js";
import { h, replace } from "./dom.js";
import { passes } from "./state.js";
import { describe, notice } from "./view.js";
import { bytes, duration, has, language, number, t } from "./text.js";

const AGAIN_MS = 2000;
const ERRORS_SHOWN = 100;

// What describes a job rather than counts what it did.
const NOT_COUNTS = new Set(["id", "kind", "state", "done", "expected", "started_at", "finished_at", "seconds", "failure", "failures", "dry_run", "host", "output", "success"]);

// Asks, runs and shows a job of the API: POST `path` with `body`. With `preview` it runs with dry_run first and shows what
// would be done. `action`: the button's text; `danger`: it takes something away; `typed`: a word to be typed before.
// `intro`: nodes or text above. Resolves to the job as it ended, or to null when it was not run, or left running.
export async function runJob({ path, body = {}, title, preview = false, intro, action, danger = false, typed }) {
  const leave = new AbortController();
  const dialog = openDialog({ title, wide: true, onClose: () => leave.abort() });
  const panel = { dialog, signal: leave.signal };
  try {
    if (preview) {
      const trial = await run(panel, path, { ...body, dry_run: true }, t("job.previewing"), true);
      if (!trial || !(await asked(panel, trial, { intro, action, danger, typed }))) return null;
    }
    const job = await run(panel, path, preview ? { ...body, dry_run: false } : body, t("job.running"));
    if (job) showEnd(panel, job);
    return job;
  } catch (error) {
    if (leave.signal.aborted) return null;
    failed(panel, error);
    return null;
  }
}

// The same for one that runs already, by its id.
export async function watchJob({ id, title }) {
  const leave = new AbortController();
  const panel = { dialog: openDialog({ title, wide: true, onClose: () => leave.abort() }), signal: leave.signal };
  try {
    const job = await follow(panel, id, t("job.running"));
    if (job) showEnd(panel, job);
    return job;
  } catch (error) {
    if (!leave.signal.aborted) failed(panel, error);
    return null;
  }
}

function failed({ dialog }, error) {
  const busy = error.status === 409;
  replace(
    dialog.body,
    notice(
      busy ? "warning" : "error",
      h("p", {}, busy ? t("job.busy") : describe(error)),
      busy && h("p", {}, h("a", { href: "#/jobs", on: { click: () => dialog.close() } }, t("nav.jobs"))),
    ),
  );
  replace(dialog.foot, closeButton(dialog));
  dialog.foot.querySelector("button").focus();
}

function closeButton(dialog, text = t("close")) {
  return h("button", { type: "button", on: { click: () => dialog.close() } }, text);
}

// `trial`: of no use any more when the reader leaves.
async function run(panel, path, body, what, trial = false) {
  replace(panel.dialog.body, h("p", { class: "muted", role: "status" }, what));
  replace(panel.dialog.foot, closeButton(panel.dialog, t("cancel")));
  const started = await post(path, body, { query: { async: 1 }, signal: panel.signal });
  const job = await follow(panel, started.id, what, trial);
  if (!job && trial) del(`/image-cache/jobs/${started.id}`).catch(() => {});
  return job;
}

// Shows a job's progress until it has ended; null: the reader left.
async function follow(panel, id, what, trial = false) {
  const bar = h("progress", { "aria-label": what });
  const text = h("p", { class: "progress-text" });
  const said = h("p", { class: "muted", role: "status" }, what);
  const stop = h("button", { type: "button", class: "danger", on: { click: () => cancel(id, stop, say) } }, t("job.cancel"));
  const say = (lost) => (said.textContent = lost ? t("job.lost") : stop.disabled ? t("job.cancelling") : what);
  replace(panel.dialog.body, h("div", { class: "stack" }, said, bar, text));
  replace(panel.dialog.foot, trial ? closeButton(panel.dialog, t("cancel")) : [closeButton(panel.dialog, t("job.leave")), stop]);
  return followJob(id, {
    signal: panel.signal,
    onProgress: (job) => drawProgress(bar, text, job),
    onLost: say,
  });
}

async function cancel(id, button, say) {
  button.disabled = true;
  say(false);
  try {
    await del(`/image-cache/jobs/${id}`);
  } catch (error) {
    if (error.status === 409) return; // it has just ended
    button.disabled = false;
    say(false);
    toast(describe(error), { kind: "error" });
  }
}

function drawProgress(bar, text, job) {
  if (job.expected > 0) {
    bar.max = job.expected;
    bar.value = Math.min(job.done, job.expected);
  } else {
    bar.removeAttribute("value");
  }
  const key = job.expected > 0 ? "job.progress" : "job.progress.open";
  text.textContent = t(key, { done: number(job.done ?? 0), expected: number(job.expected ?? 0), time: duration(job.seconds ?? 0) });
}

// Calls onProgress with the job as server-sent events tell it, until it has ended; then resolves to all of it, errors
// included. onLost(true): nothing is heard at the moment. null when `signal` aborts.
export function followJob(id, { onProgress, onLost, signal }) {
  return new Promise((resolve, reject) => {
    let source;
    let clock;
    const end = (settle, value) => {
      source?.close();
      clearTimeout(clock);
      settle(value);
    };
    const heard = (event) => {
      onLost?.(false);
      onProgress?.(JSON.parse(event.data));
    };
    const ended = async () => {
      try {
        const job = await get(`/image-cache/jobs/${id}`, { signal });
        if (job.state !== "running") return end(resolve, job);
        onProgress?.(job);
        open();
      } catch (error) {
        if (signal?.aborted) return;
        if (!passes(error)) return end(reject, error.status === 404 ? new ApiError(404, { detail: t("job.forgotten") }) : error);
        onLost?.(true);
        clock = setTimeout(ended, AGAIN_MS);
      }
    };
    const open = () => {
      source = new EventSource(url(`/image-cache/jobs/${id}/events`));
      source.addEventListener("progress", heard);
      source.addEventListener("end", (event) => {
        heard(event);
        source.close();
        ended();
      });
      source.addEventListener("error", () => {
        source.close();
        onLost?.(true);
        clock = setTimeout(ended, AGAIN_MS);
      });
    };
    signal?.addEventListener("abort", () => end(resolve, null), { once: true });
    open();
  });
}

function asked(panel, trial, { intro, action, danger, typed }) {
  const { dialog } = panel;
  return new Promise((resolve) => {
    const yes = h("button", { type: "submit", class: danger ? "danger" : "primary", disabled: Boolean(typed) }, action ?? t("job.start"));
    const field = typed && h("input", { id: "job-typed", autocomplete: "off", spellcheck: "false" });
    field?.addEventListener("input", () => (yes.disabled = field.value.trim() !== typed));
    const form = h(
      "form",
      { class: "stack", on: { submit: (event) => (event.preventDefault(), yes.disabled || resolve(true)) } },
      intro && h("p", {}, intro),
      h("p", {}, h("strong", {}, t("job.would"))),
      jobCounts(trial),
      jobErrors(trial),
      field && h("p", { class: "field" }, h("label", { for: field.id }, t("type.to.confirm", { word: typed })), field),
      h("div", { class: "row end" }, closeButton(dialog, t("cancel")), yes),
    );
    replace(dialog.body, form);
    replace(dialog.foot);
    (field ?? yes).focus();
    panel.signal.addEventListener("abort", () => resolve(false), { once: true });
  });
}

function showEnd({ dialog }, job) {
  replace(dialog.body, jobResult(job));
  const button = closeButton(dialog);
  button.classList.add("primary");
  replace(dialog.foot, button);
  button.focus();
}

// What came of a job, in words: its state, its counters, its errors.
export function jobResult(job) {
  const kind = stateClass(job.state) || "info";
  return h(
    "div",
    { class: "stack", role: "status" },
    notice(
      kind,
      h("p", {}, h("strong", {}, t(`job.state.${job.state}`)), job.seconds === undefined ? "" : ` · ${duration(job.seconds)}`),
      job.failure && h("p", { class: "detail", dir: "auto" }, job.failure),
    ),
    jobCounts(job),
    jobErrors(job),
  );
}

// The class of a badge or notice about a job in that state.
export function stateClass(state) {
  return { done: "good", done_with_failures: "warning", failed: "error", cancelled: "warning" }[state] ?? "";
}

export function jobName(kind) {
  return has(`job.kind.${kind}`) ? t(`job.kind.${kind}`) : kind;
}

// "stored: 12, unchanged: 3"
export function countsInWords(result) {
  const counts = countsOf(result ?? {}).map(([name, value]) => `${name}: ${value}`);
  return new Intl.ListFormat(language(), { type: "unit", style: "short" }).format(counts);
}

// The counters of a job (or of the `result` of one in the history) as [name, text]; `all`: also those that are 0.
export function countsOf(job, all = false) {
  return Object.entries(job)
    .filter(([name, value]) => typeof value === "number" && !NOT_COUNTS.has(name) && (all || value !== 0))
    .map(([name, value]) => [countName(name), name.endsWith("bytes") ? bytes(value) : number(value)]);
}

function countName(name) {
  return has(`job.count.${name}`) ? t(`job.count.${name}`) : name.replaceAll("_", " ");
}

export function jobCounts(job) {
  const counts = countsOf(job);
  if (!counts.length) return h("p", { class: "muted" }, t("job.nothing"));
  return h("dl", { class: "facts" }, counts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function jobErrors(job) {
  const errors = job.errors ?? [];
  if (!errors.length) return null;
  const rows = errors.slice(0, ERRORS_SHOWN).map((error) =>
    h(
      "li",
      {},
      h("span", { class: "path", dir: "auto" }, error.collection ? `${error.collection}/` : "", error.path ?? ""),
      " ",
      error.kind && h("span", { class: "badge warning" }, has(`job.difference.${error.kind}`) ? t(`job.difference.${error.kind}`) : error.kind),
      error.error && h("span", { class: "muted", dir: "auto" }, error.error),
    ),
  );
  const more = errors.length - rows.length;
  return h(
    "section",
    { class: "stack" },
    h("h3", {}, t("job.errors", { count: errors.length })),
    h("ul", { class: "errors", tabindex: "0", "aria-label": t("job.errors", { count: errors.length }) }, rows),
    more > 0 && h("p", { class: "muted" }, t("job.errors.more", { count: more })),
  );
}
