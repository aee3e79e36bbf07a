// Another content for an image: chosen or dropped, looked at, sent.

import { toast } from "./dialog.js";
import { h, icon, replace, uid } from "./dom.js";
import { replaceImage } from "./images-api.js";
import { card, warn } from "./images-facts.js";
import { bytes, percent, t } from "./text.js";
import { describe, notice } from "./view.js";

const PRECONDITION_FAILED = 412;

// {element, draw(image)}. `done()` is called when the content may be another one. `signal`: of the page.
export function replaceForm({ done, signal }) {
  let image = null;
  let file = null;
  let preview = "";
  let sending = null;
  const input = h("input", { id: uid("file"), type: "file", accept: "image/*", class: "unseen", on: { change: () => choose(input.files[0]) } });
  const zone = h("label", { class: "image-drop", for: input.id }, icon("uploads"), h("span", {}, t("image.replace.choose")));
  const body = h("div", { class: "stack" });
  const element = card(t("image.replace"), body);

  for (const type of ["dragenter", "dragover"]) zone.addEventListener(type, (event) => (event.preventDefault(), zone.classList.add("over")));
  for (const type of ["dragleave", "drop"]) zone.addEventListener(type, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => (event.preventDefault(), event.dataTransfer.files[0] && choose(event.dataTransfer.files[0])));
  signal.addEventListener("abort", () => (sending?.abort(), forgetFile()), { once: true });

  function forgetFile() {
    URL.revokeObjectURL(preview);
    [file, preview] = [null, ""];
    input.value = "";
  }

  function choose(chosen) {
    if (!chosen || sending) return;
    URL.revokeObjectURL(preview);
    file = chosen;
    preview = URL.createObjectURL(file);
    drawChosen();
    body.querySelector(".primary").focus();
  }

  function drawIdle(...above) {
    if (image.deleted_at) return replace(body, h("p", { class: "muted" }, t("image.replace.trash")));
    if (!image.url) return replace(body, h("p", { class: "muted" }, t("image.replace.unserved")));
    return replace(body, above, h("p", { class: "muted" }, t("image.replace.hint")), input, zone);
  }

  function drawChosen(...above) {
    const other = file.type && file.type !== image.content_type_header;
    replace(
      body,
      above,
      h("div", { class: "row image-chosen" }, h("img", { src: preview, alt: t("image.replace.preview"), width: 96, height: 72, on: { error: (event) => event.target.remove() } }), h("div", {}, h("bdi", { class: "path" }, file.name), h("div", { class: "muted" }, `${bytes(image.file_size)} → ${bytes(file.size)}`))),
      file.size === 0 && warn(t("image.replace.empty")),
      other && warn(t("image.replace.other", { before: image.content_type_header, after: file.type })),
      h("div", { class: "row" }, h("button", { type: "button", class: "primary", disabled: file.size === 0, on: { click: send } }, t("image.replace.send")), h("button", { type: "button", on: { click: back } }, t("cancel"))),
    );
  }

  function back() {
    forgetFile();
    drawIdle();
    input.focus();
  }

  async function send() {
    sending = new AbortController();
    const bar = h("progress", { max: file.size, value: 0, "aria-label": t("image.replace.sending") });
    const said = h("p", { class: "muted" }, t("image.replace.sending"));
    replace(body, said, bar, h("div", { class: "row" }, h("button", { type: "button", on: { click: () => sending.abort() } }, t("cancel"))));
    body.querySelector("button").focus();
    const onProgress = (sent, all) => {
      bar.value = sent;
      // What is sent is not stored yet.
      said.textContent = sent < all ? t("image.replace.sent", { share: percent(sent / all) }) : t("image.replace.storing");
    };
    try {
      const answer = await replaceImage(image, file, { onProgress, signal: sending.signal });
      sending = null;
      toast(t(answer.unchanged ? "image.replace.same" : "image.replace.done"));
      back();
      done();
    } catch (error) {
      const gone = signal.aborted;
      sending = null;
      if (!gone) failed(error);
    }
  }

  function failed(error) {
    if (error.name === "AbortError") return drawChosen(notice("info", h("p", {}, t("image.replace.stopped"))));
    drawChosen(notice("error", h("p", {}, error.status === PRECONDITION_FAILED ? t("image.replace.changed") : describe(error))));
    body.querySelector(".primary").focus();
    if (error.status === PRECONDITION_FAILED) done();
  }

  return {
    element,
    draw(next) {
      const before = image;
      image = next;
      if (!sending && !file && (!before || before.deleted_at !== next.deleted_at || before.url !== next.url)) drawIdle();
    },
  };
}
