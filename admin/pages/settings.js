// The effective settings, and where each comes from. To be changed where they are: here they are only shown.

import { get } from "../lib/api.js";
import { h, replace } from "../lib/dom.js";
import { poll } from "../lib/state.js";
import { t } from "../lib/text.js";
import { empty, loading, setQuery, title } from "../lib/view.js";

const ONCE_MS = 3600000;

export async function show(root, { query, signal }) {
  const search = h("input", { type: "search", id: "search", value: query.q ?? "", autocomplete: "off", spellcheck: "false" });
  const changed = h("input", { type: "checkbox", id: "changed", checked: query.changed === "1" });
  const place = h("div", { class: "stack" }, loading());
  let settings = null;
  const draw = () => {
    if (!settings) return;
    const words = search.value.trim().toLowerCase();
    drawList(place, settings.filter((one) => (!changed.checked || one.source !== "default") && `${one.name} ${one.help}`.toLowerCase().includes(words)));
  };
  const filter = () => {
    setQuery({ q: search.value.trim(), changed: changed.checked ? "1" : "" });
    draw();
  };
  search.addEventListener("input", filter);
  changed.addEventListener("change", filter);
  root.append(
    title(t("nav.settings")),
    h("p", { class: "muted" }, t("settings.intro")),
    h(
      "div",
      { class: "filters" },
      h("p", { class: "field" }, h("label", { for: "search" }, t("settings.search")), search),
      h("p", { class: "check" }, changed, h("label", { for: "changed" }, t("settings.changed"))),
    ),
    place,
  );
  const read = async () => {
    const answer = await get("/image-cache/settings", { signal });
    settings = Array.isArray(answer) ? answer : answer.settings;
    draw();
  };
  await poll(read, { every: ONCE_MS, signal });
}

function drawList(place, list) {
  if (!list.length) {
    replace(place, empty(t("settings.none"), t("settings.none.hint")));
    return;
  }
  replace(
    place,
    h("p", { class: "muted", role: "status" }, t("settings.count", { count: list.length })),
    h("section", { class: "card" }, h("dl", { class: "settings" }, list.map(one))),
  );
}

function value(setting) {
  if (setting.value === null || setting.value === undefined || setting.value === "") return h("span", { class: "muted" }, t("settings.unset"));
  return h("code", { dir: "ltr" }, String(setting.value));
}

function one(setting) {
  const own = setting.source !== "default";
  return h(
    "div",
    { class: "setting" },
    h("dt", {}, h("code", { dir: "ltr" }, setting.name)),
    h(
      "dd",
      {},
      h(
        "div",
        { class: "row" },
        value(setting),
        setting.secret && h("span", { class: "badge" }, t("settings.secret")),
        h("span", { class: `badge ${own ? "good" : ""}` }, sourceName(setting.source)),
      ),
      h("p", { class: "muted detail", lang: "en", dir: "ltr" }, marked(setting.help)),
      own && setting.default ? h("p", { class: "muted detail" }, t("settings.default"), " ", h("code", { dir: "ltr" }, String(setting.default))) : null,
    ),
  );
}

// `NAME` in a help text is a name.
function marked(help) {
  return (help ?? "").split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
}

function sourceName(source) {
  const known = { default: "settings.from.default", environment: "settings.from.environment", flag: "settings.from.flag" }[source];
  return known ? t(known) : t("settings.from.file", { file: source });
}
