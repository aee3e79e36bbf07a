// Pages and the way from one to the other. A page is a module that exports
//
//     async function show(root, { params, query, signal })
//
// `root` is an empty <main>, `params` what the address holds ({id}), `query` an object of what stands behind "?" in the
// hash. `signal` aborts when the reader goes elsewhere, or chooses another language; then show() is called again.

import { ApiError } from "./api.js";
import { h, icon, replace } from "./dom.js";
import { look } from "./state.js";
import { t } from "./text.js";

const AGAIN_MS = 2000;

let routes = [];
let main = null;
let leave = new AbortController();
let shown = "";
const listeners = new Set();

// What stands behind "#": {path, query}.
export function here() {
  const [path, query = ""] = (location.hash.slice(1) || "/").split("?");
  return { path: path || "/", query: Object.fromEntries(new URLSearchParams(query)) };
}

// "#/images?state=trash". Empty values are left out.
export function link(path, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = new URLSearchParams(kept).toString();
  return `#${path}${search ? `?${search}` : ""}`;
}

export function go(path, query) {
  location.hash = link(path, query);
}

// Keeps a page's filters in the address, without showing the page anew.
export function setQuery(query) {
  shown = link(here().path, query);
  history.replaceState(null, "", shown);
}

// table: [{path: "/images/{id}", name, load: () => import(...)}]. `name` is told to who asked by onPage(). `first`: the
// document was just loaded, and the focus is where it has to be.
export function startPages(element, table, { first = true } = {}) {
  main = element;
  routes = table.map((route) => ({
    ...route,
    pattern: new RegExp(`^${route.path.replace(/\{(\w+)\}/g, "(?<$1>[^/]+)")}$`),
  }));
  shown = "";
  addEventListener("hashchange", changed);
  return showPage({ first });
}

export function stopPages() {
  removeEventListener("hashchange", changed);
  leave.abort();
  main = null;
}

export function onPage(listener) {
  listeners.add(listener);
}

function changed() {
  if (location.hash !== shown) showPage({});
}

function find(path) {
  for (const route of routes) {
    const match = route.pattern.exec(path);
    if (match) {
      return { route, params: Object.fromEntries(Object.entries(match.groups ?? {}).map(([k, v]) => [k, decode(v)])) };
    }
  }
  return { route: null, params: {} };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

// Shows the page of the address, also when it is the same one.
export async function showPage({ first = false, again = false } = {}) {
  if (!main) return;
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const { path, query } = here();
  shown = location.hash;
  const { route, params } = find(path);
  for (const listener of listeners) listener(route?.name ?? "");
  const root = replace(main);
  if (!again) scrollTo(0, 0);
  try {
    if (!route) throw new ApiError(404, { detail: t("page.unknown") });
    const page = await loaded(route, root, signal);
    if (signal.aborted) return;
    replace(root);
    await page.show(root, { params, query, signal });
  } catch (error) {
    if (signal.aborted || error.name === "AbortError") return;
    if (!root.querySelector("h1")) root.append(title(t("page.trouble")));
    root.querySelector(".loading")?.remove();
    root.append(trouble(error, () => showPage({ again: true })));
  }
  // Who reads by keyboard or ear begins at the new page's heading.
  if (!first && !again && !signal.aborted) main.querySelector("h1")?.focus({ preventScroll: true });
}

// A page's module: it may be asked for while the server is away.
async function loaded(route, root, signal) {
  while (!signal.aborted) {
    try {
      return await route.load();
    } catch {
      replace(root, title(t(`nav.${route.name}`)), loading());
      await Promise.all([look(), new Promise((resolve) => setTimeout(resolve, AGAIN_MS))]);
    }
  }
  return null;
}

// A page's heading, also the window's title. Children stand at its end: buttons, say.
export function title(text, ...children) {
  document.title = `${text} · Perdura`;
  return h("header", { class: "page-head" }, h("h1", { tabindex: "-1" }, text), children.length ? h("div", { class: "row" }, children) : null);
}

// What is shown where there is nothing: what that means and what to do.
export function empty(text, hint, ...actions) {
  return h("div", { class: "empty" }, h("p", { class: "empty-text" }, text), hint && h("p", {}, hint), actions.length ? h("div", { class: "row" }, actions) : null);
}

// A message within the page. kind: "info", "good", "warning", "error".
export function notice(kind, ...children) {
  const picture = { good: "check", warning: "warning", error: "error" }[kind] ?? "info";
  return h("div", { class: `notice ${kind}` }, icon(picture), h("div", { class: "notice-text" }, children));
}

// What went wrong, in words, with a button to try again.
export function trouble(error, retry) {
  return notice(
    "error",
    h("p", {}, describe(error)),
    retry && h("p", {}, h("button", { type: "button", on: { click: retry } }, t("again"))),
  );
}

// An error as a sentence for the reader.
export function describe(error) {
  if (!(error instanceof ApiError)) return error?.message ?? String(error);
  if (error.status === 0) return t("error.unreachable");
  return error.detail || error.title || t("error.status", { status: String(error.status) });
}

export function loading() {
  return h("p", { class: "loading muted", role: "status" }, t("loading"));
}
