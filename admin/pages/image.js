// One image: what it looks like, all that is known of it, and what can be done with it.

import { confirm, toast } from "../lib/dialog.js";
import { h, icon, replace } from "../lib/dom.js";
import { changeImage, downloadUrl, fileName, forget, getImage, invalidateImage, listAddress, neighbours, previewUrl, publicUrl, purgeImage, restoreImage, trashImage } from "../lib/images-api.js";
import { entityForm, facts, history, links, replaceForm, tiers } from "../lib/images-parts.js";
import { isShown, parted, path, pixels, typeName } from "../lib/images-show.js";
import { poll } from "../lib/state.js";
import { bytes, t } from "../lib/text.js";
import { describe, empty, loading, notice, title } from "../lib/view.js";

const EVERY_MS = 15000; // what the tiers hold changes by itself

export async function show(root, { params, signal }) {
  const page = new Page(root, params.id, signal);
  root.append(title(t("image.title")), loading());
  try {
    await poll(() => page.load(), { every: EVERY_MS, signal });
  } catch (error) {
    if (error.status !== 404) throw error;
    page.gone();
  }
}

class Page {
  #root;
  #id;
  #signal;
  #image = null;
  #drawn = "";
  #busy = false;
  #shown = ""; // the sha256 of what the preview shows
  #head = h("div", {});
  #trash = h("div", {});
  #figure = h("figure", { class: "card image-figure" });
  #actions = h("div", { class: "row image-actions" });
  #said = h("div", {});
  #tiers = h("div", {});
  #history = h("div", {});
  #links = h("div", {});
  #facts = h("div", {});
  #entity;
  #replace;

  constructor(root, id, signal) {
    this.#root = root;
    this.#id = id;
    this.#signal = signal;
    this.#entity = entityForm(() => this.#changed());
    this.#replace = replaceForm({ done: () => this.#changed(), signal });
  }

  // Asks, and shows what is said.
  async load() {
    let image;
    try {
      image = await getImage(this.#id, { signal: this.#signal });
    } catch (error) {
      // It was purged while it was looked at.
      if (error.status === 404 && this.#image) return this.gone();
      throw error;
    }
    if (this.#signal.aborted) return;
    if (!this.#image) this.#build(image);
    this.#image = image;
    // What has not changed is left alone: somebody may be marking text in it.
    const now = JSON.stringify(image);
    if (now !== this.#drawn) this.#draw();
    this.#drawn = now;
  }

  gone() {
    forget();
    replace(this.#root, title(t("image.title")), empty(t("image.gone"), t("image.gone.hint"), h("a", { class: "button", href: listAddress() }, t("image.back"))));
  }

  #build(image) {
    replace(
      this.#root,
      this.#head,
      title(fileName(image.original_path)),
      this.#trash,
      h(
        "div",
        { class: "image-page" },
        h("div", { class: "stack image-main" }, this.#figure, this.#said, this.#actions, this.#replace.element, this.#entity.element),
        h("div", { class: "stack image-aside" }, this.#tiers, this.#links, this.#history),
      ),
      this.#facts,
    );
    this.#root.querySelector("h1").dir = "auto"; // a name may be in any script
    const { before, after } = neighbours(image.id);
    const way = (to, word, picture) => to && h("a", { class: "button small", href: `#/images/${to.id}`, "aria-label": `${t(word)}: ${to.original_path}` }, icon(picture), t(word));
    replace(this.#head, h("nav", { class: "row", "aria-label": t("image.ways") }, h("a", { class: "button small", href: listAddress() }, icon("list"), t("image.back")), h("span", { class: "grow" }), way(before, "image.before", "back"), way(after, "image.after", "next")));
  }

  #draw() {
    const image = this.#image;
    replace(this.#trash, image.deleted_at && notice("warning", h("p", {}, t("image.in.trash"))));
    if (this.#shown !== image.sha256) this.#drawFigure();
    this.#drawActions();
    this.#entity.draw(image);
    this.#replace.draw(image);
    replace(this.#tiers, tiers(image));
    replace(this.#history, history(image));
    replace(this.#links, links(image));
    replace(this.#facts, facts(image));
  }

  #drawFigure() {
    const image = this.#image;
    this.#shown = image.sha256;
    const instead = () => h("div", { class: "no-preview" }, typeName(image), h("span", { class: "muted" }, t("image.no.preview")));
    const picture = isShown(image) ? h("img", { src: previewUrl(image), alt: t("images.preview", { name: fileName(image.original_path) }), decoding: "async", on: { error: () => picture.replaceWith(instead()) } }) : instead();
    replace(this.#figure, h("div", { class: "image-canvas" }, picture), h("figcaption", {}, path(`${image.collection}/${image.original_path}`), h("div", { class: "muted" }, parted(...[typeName(image), image.width && image.height ? pixels(image) : "", bytes(image.file_size)].filter(Boolean)))));
  }

  #drawActions() {
    const image = this.#image;
    const trashed = Boolean(image.deleted_at);
    const button = (name, picture, act, kind = "") => h("button", { type: "button", class: kind, dataset: { do: name }, on: { click: () => this.#act(act) } }, icon(picture), t(`images.do.${name}`));
    const open = publicUrl(image);
    const kept = this.#actions.contains(document.activeElement) && document.activeElement.dataset.do;
    replace(
      this.#actions,
      !trashed && open && h("a", { class: "button", href: open, target: "_blank", rel: "noopener noreferrer" }, icon("images"), t("image.do.open")),
      h("a", { class: "button", href: downloadUrl(image), download: fileName(image.original_path), dataset: { do: "download" } }, icon("download"), t("images.do.download")),
      !trashed && button("restore", "restore", () => this.#restore()),
      !trashed && button("invalidate", "refresh", () => this.#invalidate()),
      !trashed && button("trash", "trash", () => this.#toTrash(), "danger"),
      trashed && button("undelete", "restore", () => this.#undelete(), "primary"),
      trashed && button("purge", "trash", () => this.#purge(), "danger"),
    );
    if (kept) (this.#actions.querySelector(`[data-do="${kept}"]`) ?? this.#actions.querySelector("button")).focus();
  }

  // One at a time, with what goes wrong said beneath the picture.
  async #act(act) {
    if (this.#busy) return;
    this.#busy = true;
    replace(this.#said);
    try {
      await act();
    } catch (error) {
      if (!this.#signal.aborted) replace(this.#said, h("div", { role: "alert" }, notice("error", h("p", {}, describe(error)))));
    }
    this.#busy = false;
  }

  // Something was done: the list that was shown before is out of date, and so may be this page.
  async #changed() {
    forget();
    try {
      await this.load();
    } catch (error) {
      if (!this.#signal.aborted) toast(describe(error), { kind: "error" });
    }
  }

  async #restore() {
    const job = await restoreImage(this.#image);
    if (job.failed) toast(job.errors?.[0]?.error ?? t("image.restore.failed"), { kind: "error" });
    else if (job.restored) toast(t("image.restore.restored"));
    else toast(t(job.newer ? "image.restore.newer" : "image.restore.present"), { kind: "info" });
    await this.#changed();
  }

  async #invalidate() {
    const { others } = await invalidateImage(this.#image);
    const heard = others === "told";
    toast(t(heard ? "image.invalidate.done" : "image.invalidate.here"), { kind: heard ? "good" : "warning" });
    await this.#changed();
  }

  async #toTrash() {
    const sure = await confirm({ title: t("image.sure.trash"), body: t("images.about.trash"), action: t("images.do.trash"), danger: true });
    if (!sure) return;
    await trashImage(this.#id);
    toast(t("image.trash.done"));
    await this.#changed();
  }

  async #undelete() {
    await changeImage(this.#id, { deleted: false });
    toast(t("image.undelete.done"));
    await this.#changed();
  }

  async #purge() {
    const sure = await confirm({ title: t("image.sure.purge"), body: t("images.about.purge"), action: t("images.do.purge"), danger: true, typed: t("images.purge.word") });
    if (!sure) return;
    await purgeImage(this.#id);
    forget();
    toast(t("image.purge.done"));
    location.hash = listAddress();
  }
}
