// Charts as SVG, each with the same figures in a table behind it.

import { h, s } from "./dom.js";
import { number, t } from "./text.js";

const WIDTH = 600;
const HEIGHT = 160;
const GAP = 0.2; // of a bar's room

// Bars on top of each other.
//
//     bars({title, labels: ["12:00", ...], series: [{name, values: [...], tone: 1..6}], format, column, marks})
//
// `format` writes a value, `column` heads the labels in the table, `marks` are the labels to be written below the chart (indices).
export function bars({ title, labels, series, format = number, column = "", marks }) {
  const sums = labels.map((_, i) => series.reduce((sum, one) => sum + (one.values[i] ?? 0), 0));
  const most = niceMaximum(Math.max(1, ...sums));
  const room = WIDTH / Math.max(1, labels.length);
  const columns = labels.map((label, i) => {
    let top = HEIGHT;
    const parts = series.map((one) => {
      const height = ((one.values[i] ?? 0) / most) * HEIGHT;
      top -= height;
      return height > 0 && s("rect", { class: `tone-${one.tone}`, x: (i + GAP / 2) * room, y: top, width: room * (1 - GAP), height });
    });
    const said = series.filter((one) => one.values[i]).map((one) => `${one.name}: ${format(one.values[i])}`);
    return s("g", {}, s("title", {}, [label, ...said].join("\n")), s("rect", { class: "hit", x: i * room, y: 0, width: room, height: HEIGHT }), parts);
  });
  const picture = s(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": title },
    [0.5, 1].map((share) => s("line", { class: "rule", x1: 0, x2: WIDTH, y1: HEIGHT * (1 - share), y2: HEIGHT * (1 - share) })),
    columns,
    s("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }),
  );
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, h("strong", {}, title), series.length > 1 && legend(series)),
    h(
      "div",
      { class: "plot", dir: "ltr" },
      h("div", { class: "scale", "aria-hidden": "true" }, h("span", {}, format(most)), h("span", {}, format(most / 2)), h("span", {}, format(0))),
      picture,
      h("div", { class: "labels", "aria-hidden": "true" }, (marks ?? [0, labels.length - 1]).map((i) => h("span", {}, labels[i] ?? ""))),
    ),
    table(labels, series, format, column),
  );
}

function legend(series) {
  return h("span", { class: "legend" }, series.map((one) => h("span", { class: `key tone-${one.tone}` }, one.name)));
}

function table(labels, series, format, column) {
  const rows = labels.map((label, i) =>
    h("tr", {}, h("th", { scope: "row" }, label), series.map((one) => h("td", { class: "number" }, format(one.values[i] ?? 0)))),
  );
  return h(
    "details",
    {},
    h("summary", {}, t("chart.table")),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": t("chart.table") },
      h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, column), series.map((one) => h("th", { scope: "col", class: "number" }, one.name)))), h("tbody", {}, rows)),
    ),
  );
}

// 1, 2 or 5 times a power of ten, and even where half of it is written, too.
function niceMaximum(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return Math.max(2, [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value));
}

// A share as a bar of its own: for hit rates.
export function meter(share, label) {
  return h(
    "span",
    { class: "meter", role: "img", "aria-label": label },
    h("span", { class: "meter-fill", style: { "inline-size": `${Math.round(Math.max(0, Math.min(1, share)) * 1000) / 10}%` } }),
  );
}
