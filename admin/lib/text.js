// What the page says, in the reader's language. Numbers and times are written by Intl.

import { h } from "./dom.js";

export const LANGUAGES = { en: "English", es: "Español", fa: "فارسی" };
const RIGHT_TO_LEFT = ["fa"];
const KEPT_AS = "perdura.language";

let code = "en";
let texts = {};
let plural = new Intl.PluralRules("en");
const listeners = new Set();

function preferred() {
  const wanted = [localStorage.getItem(KEPT_AS), ...(navigator.languages ?? [])].filter(Boolean);
  const known = wanted.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => tag in LANGUAGES);
  return known ?? "en";
}

export function language() {
  return code;
}

// Loads the texts, then calls who asked for it by onLanguage(). Without a code: the one chosen before, or the browser's.
export async function setLanguage(wanted) {
  const next = wanted ?? preferred();
  const [page, images] = await Promise.all([import(`../text/${next}.js`), import(`../text/images.${next}.js`)]);
  if (wanted) localStorage.setItem(KEPT_AS, wanted);
  code = next;
  texts = { ...page.default, ...images.default };
  plural = new Intl.PluralRules(code);
  document.documentElement.lang = code;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(code) ? "rtl" : "ltr";
  for (const listener of listeners) listener(code);
}

export function onLanguage(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function has(key) {
  return key in texts;
}

// The text of that key. {name} is replaced by params.name, numbers by Intl. With params.count the key may have the forms
// key.one, key.other ... of Intl.PluralRules.
export function t(key, params = {}) {
  const form = typeof params.count === "number" ? `${key}.${plural.select(params.count)}` : key;
  const text = texts[form] ?? texts[`${key}.other`] ?? texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in params ? inserted(params[name]) : whole));
}

// A path in a Persian sentence keeps its own direction (Unicode UAX #9, isolates).
function inserted(value) {
  if (typeof value === "number") return number(value);
  return RIGHT_TO_LEFT.includes(code) ? `\u2068${value}\u2069` : String(value);
}

export function number(n, options) {
  return n === null || n === undefined ? "–" : new Intl.NumberFormat(code, options).format(n);
}

// 0.934 as 93.4 %.
export function percent(share) {
  return number(share, { style: "percent", maximumFractionDigits: 1 });
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(n) {
  if (n === null || n === undefined) return "–";
  let unit = 0;
  for (; Math.abs(n) >= 1024 && unit < UNITS.length - 1; unit++) n /= 1024;
  const digits = unit === 0 || n >= 100 ? 0 : 1;
  return `${number(n, { maximumFractionDigits: digits })}\u00a0${t(`unit.${UNITS[unit]}`)}`;
}

const SECONDS = { year: 31536000, month: 2592000, day: 86400, hour: 3600, minute: 60, second: 1 };

// "3 hours ago"; what is less than ten seconds away is now.
export function ago(iso) {
  const seconds = (Date.parse(iso) - Date.now()) / 1000;
  const format = new Intl.RelativeTimeFormat(code, { numeric: "auto" });
  const unit = Object.keys(SECONDS).find((name) => Math.abs(seconds) >= SECONDS[name]);
  if (!unit || (unit === "second" && Math.abs(seconds) < 10)) return format.format(0, "second");
  return format.format(Math.trunc(seconds / SECONDS[unit]), unit);
}

// Date and time in full. Persian readers get their own calendar.
export function moment(iso, options = { dateStyle: "medium", timeStyle: "medium" }) {
  return new Intl.DateTimeFormat(code, options).format(new Date(iso));
}

// <time>, relative, with the moment as its title; "–" for none.
export function when(iso) {
  if (!iso) return h("span", { class: "muted" }, "–");
  return h("time", { datetime: iso, title: moment(iso) }, ago(iso));
}

// "2 hr, 5 min": the two largest units.
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const unit = (n, name, options) =>
    number(n, { style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: 0, ...options }).replaceAll(" ", "\u00a0");
  if (seconds < 10) return unit(seconds, "second", { maximumFractionDigits: seconds < 1 ? 2 : 1 });
  let left = Math.round(seconds);
  const parts = [];
  for (const name of ["day", "hour", "minute", "second"]) {
    const n = Math.floor(left / SECONDS[name]);
    left -= n * SECONDS[name];
    if (n > 0) parts.push(unit(n, name));
    else if (parts.length) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}
