// How the server and what is behind it are, asked all the time; the page says it above everything else and goes on by
// itself when it is over.

import { ApiError, get, onSignedOut } from "./api.js";
import { h, icon, replace } from "./dom.js";
import { t } from "./text.js";

const CALM_MS = 5000;
const PATIENCE_MS = 8000;
const TROUBLED_MS = 2000;
const SLOWEST_MS = 30000;

// What /ready said last: {reachable, database, redis, object_storage, feed}. null: not asked yet.
let state = null;
let timer = 0;
let banner = null;
const waiting = new Set();
const listeners = new Set();

export function health() {
  return state;
}

// Called with health() whenever it was asked.
export function onHealth(listener, signal) {
  listeners.add(listener);
  signal?.addEventListener("abort", () => listeners.delete(listener), { once: true });
}

// The banner's place, and the first question.
export function startHealth(element) {
  banner = element;
  return look();
}

export function stopHealth() {
  clearTimeout(timer);
  banner = null;
}

export const isWell = () => Boolean(state?.reachable && state.database?.state === "up");

async function ask() {
  try {
    return { reachable: true, ...(await get("/ready", { patience: PATIENCE_MS })) };
  } catch (error) {
    // 503 is an answer, too: it says what is wrong.
    if (error instanceof ApiError && error.body?.database) return { reachable: true, ...error.body };
    return { reachable: error instanceof ApiError && error.status > 0, database: null };
  }
}

// Asks now, and from then on again and again.
export async function look() {
  clearTimeout(timer);
  if (!banner) return;
  const wasWell = isWell();
  state = await ask();
  if (!banner) return;
  draw();
  for (const listener of listeners) listener(state);
  if (isWell() && !wasWell) {
    for (const wake of waiting) wake();
  }
  clearTimeout(timer);
  timer = setTimeout(look, troubles().length ? TROUBLED_MS : document.hidden ? SLOWEST_MS : CALM_MS);
}

// What is wrong now, the worst first: [{key, kind, detail}].
export function troubles() {
  if (!state) return [];
  if (!state.reachable) return [{ key: "down.server", kind: "error", detail: "" }];
  const list = [];
  if (state.database?.state !== "up") list.push({ key: "down.database", kind: "error", detail: state.database?.detail });
  if (state.redis && state.redis.state === "down") list.push({ key: "down.redis", kind: "warning", detail: state.redis.detail });
  if (state.redis && ["full", "refuses writes"].includes(state.redis.state)) list.push({ key: "full.redis", kind: "warning", detail: state.redis.detail });
  const objects = state.object_storage;
  if (objects && objects.state === "down") list.push({ key: "down.objects", kind: "warning", detail: objects.detail });
  return list;
}

let drawn = "";

function draw() {
  if (!banner) return;
  const list = troubles();
  const now = JSON.stringify([document.documentElement.lang, list]);
  if (now === drawn && banner.childElementCount === list.length) return;
  drawn = now;
  replace(
    banner,
    list.map(({ key, kind, detail }) =>
      h(
        "div",
        { class: `notice ${kind}`, dataset: { trouble: key } },
        icon(kind),
        h("div", { class: "notice-text" }, h("p", {}, h("strong", {}, t(key)), " ", t(`${key}.means`)), detail && h("p", { class: "detail", dir: "auto" }, detail)),
      ),
    ),
  );
}

export function redrawHealth() {
  draw();
}

// Until ms are over, somebody looks at the page again, or, when something failed, the server is well again.
function pause(ms, signal, failed) {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(clock);
      waiting.delete(wake);
      document.removeEventListener("visibilitychange", seen);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const seen = () => !document.hidden && wake();
    const clock = setTimeout(wake, ms);
    if (failed) waiting.add(wake);
    document.addEventListener("visibilitychange", seen);
    signal.addEventListener("abort", wake);
  });
}

// Runs fn every `every` ms until `signal` aborts: slower while nobody looks, and slower and slower while it fails, until
// the server is well again. fn gets the signal. Resolves after the first time that it succeeded. What it throws beside
// trouble that passes ends it.
export function poll(fn, { every, signal }) {
  return new Promise((resolve, reject) => {
    let first = true;
    const run = async () => {
      let wait = TROUBLED_MS;
      while (!signal.aborted) {
        let next = every;
        let failed = false;
        try {
          await fn(signal);
          wait = TROUBLED_MS;
          if (first) resolve();
          first = false;
        } catch (error) {
          if (signal.aborted || error.name === "AbortError") break;
          if (!passes(error)) return reject(error);
          failed = true;
          look();
          next = Math.max(wait, (error.retryAfter ?? 0) * 1000);
          wait = Math.min(wait * 2, SLOWEST_MS);
        }
        await pause(document.hidden ? Math.max(next, SLOWEST_MS) : next, signal, failed);
      }
      if (first) reject(new DOMException("", "AbortError"));
    };
    run();
  });
}

// Whether to try again is worth while.
export function passes(error) {
  return error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);
}

onSignedOut(stopHealth);
document.addEventListener("visibilitychange", () => !document.hidden && banner && look());
