// Files: look for them, see them, choose some, do something with them.

import { h, icon, replace } from "../lib/dom.js";
import { collections, keep, keptFor, Loader } from "../lib/images-api.js";
import { BulkBar } from "../lib/images-bulk.js";
import { FilterForm, parse, shorten } from "../lib/images-find.js";
import { Results, Selection } from "../lib/images-show.js";
import { passes } from "../lib/state.js";
import { t } from "../lib/text.js";
import { describe, empty, link, notice, setQuery, title } from "../lib/view.js";

const VIEWS = ["grid", "list"];
const VIEW_KEPT_AS = "perdura.images.view";
const BY_ITSELF = 600; // so many images come while one scrolls; then a button asks, so that the page has an end
const AHEAD = "800px";

export async function show(root, { query, signal }) {
  new Page(root, parse(query), signal);
}

class Page {
  #signal;
  #filter;
  #loader = null;
  #leave = new AbortController();
  #selection = new Selection();
  #results;
  #bulk;
  #form;
  #said = h("p", { class: "images-said", role: "status" });
  #trouble = h("div", {});
  #none = h("div", {});
  // Always the same button, so that it keeps the focus; while it waits it does nothing.
  #button = h("button", { type: "button", on: { click: () => (this.#button.dataset.do === "stop" ? this.#loader.stop() : this.#loader.more()) } });
  #all = h("p", { class: "muted", tabindex: "-1" });
  #end = h("div", { class: "images-end row center" }, this.#button, this.#all);
  #view = VIEWS.includes(localStorage.getItem(VIEW_KEPT_AS)) ? localStorage.getItem(VIEW_KEPT_AS) : "grid";
  #types = new Set();
  #watch;

  constructor(root, filter, signal) {
    this.#signal = signal;
    this.#filter = filter;
    this.#results = new Results(this.#selection, signal);
    this.#bulk = new BulkBar({ selection: this.#selection, list: () => this.#list(), done: () => this.#begin(), signal });
    this.#form = new FilterForm(filter, (wanted) => this.#look(wanted), signal);
    this.#watch = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && this.#more(), { rootMargin: AHEAD });
    root.append(title(t("images.title"), this.#views()), this.#form.element, this.#form.chips, this.#said, this.#bulk.element, this.#trouble, this.#results.element, this.#none, this.#end);
    signal.addEventListener("abort", () => this.#leaves(), { once: true });
    this.#begin(keptFor(this.#key()));
    this.#askCollections();
  }

  #key() {
    return JSON.stringify(this.#filter);
  }

  #list() {
    return { images: this.#results.images, filter: this.#filter, total: this.#loader?.total ?? null, ended: this.#loader?.ended ?? true };
  }

  #views() {
    const button = (view) =>
      h("button", { type: "button", class: "square", dataset: { view }, "aria-pressed": String(view === this.#view), "aria-label": t(`images.view.${view}`), title: t(`images.view.${view}`), on: { click: () => this.#setView(view) } }, icon(view));
    return h("div", { class: "segmented images-views", role: "group", "aria-label": t("images.view") }, VIEWS.map(button));
  }

  #setView(view) {
    this.#view = view;
    localStorage.setItem(VIEW_KEPT_AS, view);
    for (const button of document.querySelectorAll(".images-views button")) button.setAttribute("aria-pressed", String(button.dataset.view === view));
    this.#results.show(this.#loader.images, { view, trash: this.#filter.state === "trash" });
    this.#draw();
  }

  async #askCollections() {
    try {
      this.#form.setCollections(await collections({ signal: this.#signal }));
    } catch (error) {
      if (!this.#signal.aborted && !passes(error)) console.error(error);
    }
  }

  // Another filter than before.
  #look(wanted) {
    const filter = parse(wanted);
    if (JSON.stringify(filter) === this.#key()) return;
    this.#filter = filter;
    this.#form.filter = filter;
    setQuery(shorten(filter));
    this.#begin();
  }

  // The list from its beginning, or on from where the reader was.
  #begin(kept = null) {
    this.#leave.abort();
    this.#leave = new AbortController();
    this.#loader = new Loader(this.#filter, { signal: this.#leave.signal, changed: (added) => this.#changed(added) });
    if (kept) this.#loader.resume(kept);
    this.#selection.clear();
    this.#results.show(this.#loader.images, { view: this.#view, trash: this.#filter.state === "trash" });
    this.#draw();
    if (!kept) this.#loader.more();
    else if (kept.visited) this.#results.reveal(kept.visited);
    else scrollTo(0, kept.scroll);
  }

  #leaves() {
    this.#watch.disconnect();
    this.#leave.abort();
    const { images, cursor, total, examined, ended } = this.#loader;
    keep({ key: this.#key(), address: link("/images", shorten(this.#filter)), images, cursor, total, examined, ended, scroll: scrollY });
  }

  #more() {
    const { images, error, stopped } = this.#loader;
    if (images.length < BY_ITSELF && !error && !stopped) this.#loader.more();
  }

  #changed(added) {
    if (added.length) {
      this.#results.add(added);
      this.#learn(added);
    }
    this.#draw();
  }

  // Kinds of entities that there are, for whoever types one.
  #learn(images) {
    const before = this.#types.size;
    for (const { content_type } of images) if (content_type) this.#types.add(content_type);
    if (this.#types.size > before) this.#form.suggest(this.#types);
  }

  #draw() {
    const { images, total, ended, busy, error, examined } = this.#loader;
    const count = images.length;
    const far = examined > count ? ` ${t("images.examined", { count: examined })}` : "";
    this.#said.textContent =
      busy && !count ? t("loading") + far : ended ? t("images.found", { count }) : (total === null ? t("images.shown", { count }) : t("images.shown.of", { count, total })) + far;
    replace(this.#trouble, error && notice(count ? "warning" : "error", h("p", {}, describe(error)), passes(error) && h("p", { class: "muted" }, t("images.again"))));
    replace(this.#none, ended && !count && this.#nothing());
    this.#drawEnd();
    this.#bulk.draw();
    this.#watch.disconnect();
    if (!busy && !ended) this.#watch.observe(this.#end);
  }

  #nothing() {
    const { state, order, ...rest } = this.#filter;
    const all = h("a", { class: "button", href: "#/images" }, t("images.show.all"));
    if (Object.keys(rest).length) return empty(t("images.none.match"), t("images.none.match.hint"), all);
    if (state === "trash") return empty(t("images.none.trash"), t("images.none.trash.hint"), all);
    if (state === "large") return empty(t("images.none.large"), t("images.none.large.hint"), all);
    return empty(t("images.none"), t("images.none.hint"), h("a", { class: "button primary", href: "#/actions" }, t("images.none.action")));
  }

  #drawEnd() {
    const { images, ended, busy, error, examined } = this.#loader;
    const stops = busy && examined > images.length;
    const focused = document.activeElement === this.#button;
    this.#all.textContent = t("images.end");
    this.#all.hidden = !ended || !images.length;
    this.#button.hidden = ended;
    this.#button.textContent = t(stops ? "images.stop" : busy ? "loading" : error ? "again" : "images.more");
    this.#button.dataset.do = stops ? "stop" : "more";
    this.#button.setAttribute("aria-disabled", String(busy && !stops));
    if (focused && ended) this.#all.focus();
  }
}
