// What an image belongs to, and the form to change that.

import { toast } from "./dialog.js";
import { h, replace, uid } from "./dom.js";
import { changeImage } from "./images-api.js";
import { card } from "./images-facts.js";
import { t } from "./text.js";
import { describe, notice } from "./view.js";

const NAMES = ["content_type", "object_id", "variant"];

// {element, draw(image)}. `changed(image)` is called with what the server says it is now.
export function entityForm(changed) {
  let image = null;
  const fields = Object.fromEntries(
    NAMES.map((name) => [name, h("input", { id: uid(name), name, type: "text", maxlength: 200, dir: "auto", autocomplete: "off", autocapitalize: "off", spellcheck: "false", on: { input: () => mark() } })]),
  );
  const save = h("button", { type: "submit", class: "primary" }, t("image.entity.save"));
  const undo = h("button", { type: "button", on: { click: () => fill() } }, t("image.entity.undo"));
  const said = h("div", {});
  const hint = h("p", { class: "muted" });

  const edits = () => Object.fromEntries(NAMES.filter((name) => fields[name].value.trim() !== (image[name] ?? "")).map((name) => [name, fields[name].value.trim()]));
  const isChanged = () => image && Object.keys(edits()).length > 0;

  function mark() {
    save.disabled = undo.disabled = !isChanged();
  }

  function fill() {
    for (const name of NAMES) {
      fields[name].value = image[name] ?? "";
      // The API changes what is given and takes nothing away.
      fields[name].required = Boolean(image[name]);
      fields[name].disabled = Boolean(image.deleted_at);
    }
    hint.textContent = t(image.deleted_at ? "image.entity.trash" : "image.entity.hint");
    replace(said);
    mark();
  }

  async function send(event) {
    event.preventDefault();
    if (!isChanged()) return;
    save.disabled = true;
    replace(said);
    try {
      const now = await changeImage(image.id, edits());
      toast(t("image.entity.saved"));
      image = { ...image, ...now };
      fill();
      changed(now);
    } catch (error) {
      replace(said, notice("error", h("p", {}, describe(error))));
      mark();
    }
  }

  const rows = NAMES.map((name) => h("div", { class: "field" }, h("label", { for: fields[name].id }, t(`image.column.${name}`)), fields[name]));
  const form = h("form", { class: "stack", on: { submit: send } }, h("div", { class: "filters image-entity" }, rows), said, h("div", { class: "row" }, save, undo));
  return {
    element: card(t("image.entity"), hint, form),
    // Who is typing is not disturbed by what is heard meanwhile.
    draw(next) {
      const typing = isChanged();
      image = next;
      if (typing) mark();
      else fill();
    },
  };
}
