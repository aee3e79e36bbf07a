// Decides between login and the pages, and draws what is around the pages: navigation, language, theme, logout.

import { ApiError, get, onSignedOut, post, setSession } from "./lib/api.js";
import { toast, toasts } from "./lib/dialog.js";
import { h, icon, replace, s } from "./lib/dom.js";
import { redrawHealth, startHealth, stopHealth } from "./lib/state.js";
import { describe, onPage, showPage, startPages, stopPages } from "./lib/view.js";
import { language, LANGUAGES, onLanguage, setLanguage, t } from "./lib/text.js";
import { showLogin } from "./pages/login.js";

const ROUTES = [
  { path: "/", name: "overview", load: () => import("./pages/overview.js") },
  { path: "/images", name: "images", load: () => import("./pages/images.js") },
  { path: "/images/{id}", name: "images", load: () => import("./pages/image.js") },
  { path: "/actions", name: "actions", load: () => import("./pages/actions.js") },
  { path: "/jobs", name: "jobs", load: () => import("./pages/jobs.js") },
  { path: "/uploads", name: "uploads", load: () => import("./pages/uploads.js") },
  { path: "/settings", name: "settings", load: () => import("./pages/settings.js") },
];
const NAVIGATION = ["overview", "images", "actions", "jobs", "uploads", "settings"];
const THEMES = ["auto", "light", "dark"];
const AGAIN_MS = 2000;

let session = null; // null: nobody is logged in
let parts = null; // of the shell, to be written anew in another language
let current = "";
let drawn = false; // for the first time

function theme() {
  return localStorage.getItem("perdura.theme") ?? "auto";
}

function setTheme(name) {
  localStorage.setItem("perdura.theme", name);
  document.documentElement.dataset.theme = name;
}

function mark() {
  return s(
    "svg",
    { class: "mark", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    s("rect", { x: 2, y: 3, width: 20, height: 18, rx: 4 }),
    s("path", { d: "M5 17l4.500-5.500 3.500 4 2-2.300 4 3.800z" }),
    s("circle", { cx: 16, cy: 8.5, r: 1.8 }),
  );
}

function languageSelect() {
  const options = Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code }, name));
  return h(
    "label",
    { class: "control" },
    icon("language"),
    h("span", { class: "unseen" }, t("shell.language")),
    h("select", { id: "language", value: language(), on: { change: (event) => setLanguage(event.target.value).catch(complain) } }, options),
  );
}

function themeSelect() {
  return h(
    "label",
    { class: "control" },
    icon("theme"),
    h("span", { class: "unseen" }, t("shell.theme")),
    h(
      "select",
      { id: "theme", value: theme(), on: { change: (event) => setTheme(event.target.value) } },
      THEMES.map((name) => h("option", { value: name }, t(`shell.theme.${name}`))),
    ),
  );
}

function complain(error) {
  toast(describe(error), { kind: "error" });
}

// The shell: drawn once; its texts are drawn again in another language.

function buildShell({ first }) {
  const skip = h("a", { class: "skip", href: "#main", on: { click: skipToMain } });
  const top = h("header", { class: "top" });
  const side = h("nav", { class: "side", id: "navigation" });
  const banner = h("div", { class: "banner", role: "status", "aria-live": "polite" });
  const main = h("main", { id: "main", tabindex: "-1" });
  parts = { skip, top, side, banner, main };
  drawShell();
  replace(document.body, skip, h("div", { class: "shell" }, top, side, h("div", { class: "content" }, banner, main)), toasts());
  startHealth(banner);
  startPages(main, ROUTES, { first });
}

// "#main" itself would be taken for a page.
function skipToMain(event) {
  event.preventDefault();
  parts.main.focus();
}

function drawShell() {
  const focused = document.activeElement?.id;
  parts.skip.textContent = t("shell.skip");
  parts.side.setAttribute("aria-label", t("shell.navigation"));
  const menu = h(
    "button",
    { type: "button", class: "quiet square menu", id: "menu", "aria-expanded": "false", "aria-controls": "navigation", "aria-label": t("shell.menu") },
    icon("menu"),
  );
  menu.addEventListener("click", () => openMenu(menu.getAttribute("aria-expanded") !== "true"));
  replace(parts.top, menu, h("a", { class: "brand", href: "#/" }, mark(), h("span", {}, "Perdura")), h("span", { class: "grow" }));
  const links = NAVIGATION.map((name) =>
    h("li", {}, h("a", { href: name === "overview" ? "#/" : `#/${name}`, dataset: { page: name } }, icon(name), h("span", {}, t(`nav.${name}`)))),
  );
  replace(
    parts.side,
    h("ul", {}, links),
    h(
      "div",
      { class: "controls" },
      languageSelect(),
      themeSelect(),
      h("button", { type: "button", class: "quiet", id: "logout", on: { click: logout } }, icon("logout"), t("shell.logout")),
      session?.version && h("p", { class: "muted version" }, `Perdura ${session.version}`),
    ),
  );
  markCurrent();
  if (focused) document.getElementById(focused)?.focus();
}

function openMenu(open) {
  parts.side.classList.toggle("open", open);
  const menu = document.getElementById("menu");
  menu.setAttribute("aria-expanded", String(open));
  if (open) parts.side.querySelector("a").focus();
}

function markCurrent() {
  for (const link of parts.side.querySelectorAll("a[data-page]")) {
    if (link.dataset.page === current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

onPage((name) => {
  current = name;
  if (!parts) return;
  markCurrent();
  openMenuQuietly();
});

// A page was chosen: the menu has done its work.
function openMenuQuietly() {
  parts.side.classList.remove("open");
  document.getElementById("menu")?.setAttribute("aria-expanded", "false");
}

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && parts?.side.classList.contains("open")) {
    openMenu(false);
    document.getElementById("menu").focus();
  }
});

// Who is there

async function logout() {
  try {
    await post("/admin/logout");
  } catch (error) {
    if (error.status !== 401) return complain(error);
  }
  enterLogin({ message: "login.bye" });
}

function enterShell(answer, { first = false } = {}) {
  session = answer;
  setSession(answer);
  buildShell({ first });
}

function enterLogin(options = {}) {
  session = null;
  parts = null;
  setSession(null);
  stopPages();
  stopHealth();
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  showLogin(document.body, {
    ...options,
    mark: mark(),
    controls: [languageSelect(), themeSelect()],
    entered: enterShell,
  });
}

onSignedOut(() => session && enterLogin({ message: "login.ended" }));

onLanguage(() => {
  if (!drawn) return;
  if (!parts) {
    const focused = document.activeElement?.id;
    enterLogin();
    if (focused) document.getElementById(focused)?.focus();
    return;
  }
  drawShell();
  redrawHealth();
  showPage({ again: true });
});

// A link for one login, as `perdura dev` prints it. It leaves the address at once, and so the history.
function takeLink() {
  const match = /^#login=([\w-]+)$/.exec(location.hash);
  if (match) history.replaceState(null, "", "#/");
  return match?.[1];
}

// What /admin/session says, or the link's login; null: nobody is logged in. Waits while the server can't tell.
async function whoIsThere(link) {
  for (;;) {
    try {
      return link ? await post("/admin/login", { link }) : await get("/admin/session");
    } catch (error) {
      if (!(error instanceof ApiError) || (error.status > 0 && error.status < 500)) return null;
      showWaiting(error);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

function showWaiting(error) {
  replace(
    document.body,
    h("main", { class: "waiting" }, mark(), h("h1", {}, t("waiting.title")), h("p", { role: "status" }, describe(error)), h("p", { class: "muted" }, t("waiting.again"))),
  );
}

// Such a link in a page that is open already.
addEventListener("hashchange", () => location.hash.startsWith("#login=") && location.reload());

async function start() {
  document.documentElement.dataset.theme = theme();
  const link = takeLink();
  const language = setLanguage();
  const first = link ? null : get("/admin/session").catch((error) => error);
  await language;
  let answer = await first;
  if (!answer || answer instanceof Error) answer = answer?.status === 401 ? null : await whoIsThere(link);
  drawn = true;
  if (answer) enterShell(answer, { first: true });
  else enterLogin(link ? { message: "login.link.used", kind: "warning" } : {});
}

start();
