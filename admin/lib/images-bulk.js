// The bar that says how many images are chosen, and what can be done with them.

import { toast } from "./dialog.js";
import { h, icon, replace } from "./dom.js";
import { BULK, downloadUrl } from "./images-api.js";
import { forBulk } from "./images-find.js";
import { runJob } from "./job.js";
import { number, t } from "./text.js";
import { describe } from "./view.js";

export const MOST_IDS = 1000; // that one bulk request takes

// In the order of their buttons.
export const ACTIONS = {
  restore: { icon: "restore" },
  invalidate: { icon: "refresh" },
  trash: { icon: "trash", danger: true },
  undelete: { icon: "restore" },
  purge: { icon: "trash", danger: true, typed: true },
};

export const actionsFor = (state) => (state === "trash" ? ["undelete", "purge"] : ["restore", "invalidate", "trash"]);

// Shows what the action would do, asks, runs it. `target` is {ids} or {filter, all}. The job as it ended; null: it was not
// run to its end before the reader's eyes.
export function runBulk(action, target) {
  const { danger, typed } = ACTIONS[action];
  return runJob({
    path: BULK,
    body: { action, ...target },
    title: t(`images.do.${action}`),
    intro: t(`images.about.${action}`),
    action: t(`images.do.${action}`),
    preview: true,
    danger,
    typed: typed && t("images.purge.word"),
  });
}

export class BulkBar {
  element = h("section", { class: "images-bulk" });
  #selection;
  #list; // () => {images, filter, total, ended}
  #done; // called when something was changed
  #signal;
  #box;
  #said = h("span", { class: "images-chosen", role: "status" });
  #all = h("span", {});
  #buttons = h("span", { class: "row" });

  constructor({ selection, list, done, signal }) {
    this.#selection = selection;
    this.#list = list;
    this.#done = done;
    this.#signal = signal;
    this.#box = h("input", { type: "checkbox", on: { change: () => selection.setShown(this.#list().images, this.#box.checked) } });
    this.element.setAttribute("aria-label", t("images.chosen"));
    replace(this.element, h("label", { class: "check" }, this.#box, t("images.choose.shown")), this.#said, this.#all, this.#buttons);
    selection.addEventListener("change", () => this.draw(), { signal });
  }

  draw() {
    const { images, total, ended } = this.#list();
    const { all, size } = this.#selection;
    this.element.hidden = images.length === 0;
    this.element.classList.toggle("active", all || size > 0);
    this.#box.checked = all || (size > 0 && size >= images.length);
    this.#box.indeterminate = !all && size > 0 && size < images.length;
    this.#said.textContent = all ? (total === null ? t("images.chosen.all") : t("images.chosen.total", { count: total })) : size ? t("images.chosen.count", { count: size }) : "";
    const offer = !all && size > 0 && size >= images.length && !ended;
    const kept = this.element.contains(document.activeElement) && document.activeElement.dataset.do;
    replace(this.#all, offer && h("button", { type: "button", class: "small", dataset: { do: "all" }, on: { click: () => this.#selection.setAll() } }, total === null ? t("images.choose.all") : t("images.choose.total", { count: total })));
    replace(this.#buttons, (all || size > 0) && this.#actions());
    if (kept) (this.element.querySelector(`[data-do="${kept}"]`) ?? this.#box).focus();
  }

  #actions() {
    const { filter } = this.#list();
    const button = (name, picture, click, kind = "") =>
      h("button", { type: "button", class: `small ${kind}`, dataset: { do: name }, on: { click } }, icon(picture), t(`images.do.${name}`));
    return [
      actionsFor(filter.state).map((name) => button(name, ACTIONS[name].icon, () => this.#run(name), ACTIONS[name].danger ? "danger" : "")),
      !this.#selection.all && button("download", "download", () => this.#download()),
      button("clear", "close", () => this.#clear(), "quiet"),
    ];
  }

  #clear() {
    this.#selection.clear();
    this.#box.focus();
  }

  async #run(action) {
    const { all, images } = this.#selection;
    if (!all && images.length > MOST_IDS) {
      toast(t("images.too.many", { count: MOST_IDS }), { kind: "warning" });
      return;
    }
    const target = all ? forBulk(this.#list().filter) : { ids: images.map(({ id }) => id) };
    const job = await runBulk(action, target);
    if (this.#signal.aborted || !job) return;
    this.#done();
    // The button that was pressed is gone by now; the dialog would give the focus to nothing.
    document.querySelector("dialog[open]")?.addEventListener("close", () => queueMicrotask(() => document.activeElement === document.body && this.#focus()));
  }

  #focus() {
    if (!this.element.hidden) this.#box.focus();
    else document.querySelector("main h1")?.focus();
  }

  async #download() {
    const { images } = this.#selection;
    const { MOST_BYTES, MOST_FILES, save, saveZip } = await import("./images-zip.js");
    if (images.length === 1) return save(downloadUrl(images[0]), "");
    const size = images.reduce((sum, { file_size }) => sum + file_size, 0);
    if (images.length > MOST_FILES || size > MOST_BYTES) return toast(t("images.download.too.much", { files: MOST_FILES, mib: MOST_BYTES / 1048576 }), { kind: "warning" });
    const said = (done, of) => (this.#said.textContent = t("images.downloading", { done: number(done), of: number(of) }));
    try {
      await saveZip(images, { signal: this.#signal, onProgress: said });
    } catch (error) {
      if (!this.#signal.aborted) toast(describe(error), { kind: "error" });
    }
    if (!this.#signal.aborted) this.draw();
  }
}
