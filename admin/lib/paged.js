// Lists by time that come a page at a time.

import { toast } from "./dialog.js";
import { h, refresh } from "./dom.js";
import { t } from "./text.js";
import { describe } from "./view.js";

// A list whose first page is asked for again and again, while the reader may ask for more. ask(cursor) resolves to
// {[name]: entries, cursor}; entries with the same `id` are one. draw(entries, more) shows them; `more` asks for the next
// page, and is null behind the last one.
export function pagedList({ ask, name, id, draw, signal }) {
  let pages = [];
  let cursor = null;
  const show = () => {
    const known = new Set();
    draw(pages.flat().filter((entry) => !known.has(entry[id]) && known.add(entry[id])), cursor && more);
  };
  const more = async () => {
    try {
      const answer = await ask(cursor);
      pages.push(answer[name]);
      cursor = answer.cursor;
      show();
    } catch (error) {
      if (!signal.aborted) toast(describe(error), { kind: "error" });
    }
  };
  return {
    // The first page, anew.
    take(answer) {
      if (pages.length <= 1) {
        pages = [answer[name]];
        cursor = answer.cursor;
      } else {
        pages[0] = answer[name];
      }
      show();
    },
    clear() {
      pages = [];
      cursor = null;
    },
  };
}

// Such a list as a table. `heads` are what stands above its columns, `rows` are elements.
export function drawTable(place, { caption, heads, rows, more }) {
  refresh(
    place,
    h(
      "section",
      { class: "card" },
      h(
        "table",
        { class: "table" },
        h("caption", { class: "unseen" }, caption),
        h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
        h("tbody", {}, rows),
      ),
    ),
    more && h("p", { class: "row center" }, h("button", { type: "button", on: { click: more } }, t("more"))),
  );
}
