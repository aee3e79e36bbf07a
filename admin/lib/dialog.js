// Questions and short messages. A <dialog> keeps the keyboard within itself and gives the focus back when it closes.

import { h, icon, replace, uid } from "./dom.js";
import { t } from "./text.js";

// An open dialog: {element, body, foot, close(value), closed}. `closed` is a promise of the value, undefined when it was
// closed by Escape or its button. `body` and `foot` are elements to be filled.
export function openDialog({ title, wide = false, onClose } = {}) {
  const id = uid("dialog");
  const body = h("div", { class: "dialog-body" });
  const foot = h("div", { class: "dialog-foot row" });
  const before = document.activeElement;
  let value;
  const close = (result) => {
    value = result;
    element.close();
  };
  const element = h(
    "dialog",
    { "aria-labelledby": id, class: wide ? "wide" : "" },
    h(
      "header",
      { class: "dialog-head" },
      h("h2", { id, tabindex: "-1" }, title),
      h("button", { type: "button", class: "quiet square", "aria-label": t("close"), on: { click: () => close() } }, icon("close")),
    ),
    body,
    foot,
  );
  const closed = new Promise((resolve) => {
    element.addEventListener("close", () => {
      element.remove();
      if (before?.isConnected) before.focus();
      onClose?.(value);
      resolve(value);
    });
  });
  document.body.append(element);
  element.showModal();
  element.querySelector("h2").focus();
  return { element, body, foot, close, closed };
}

// Whether the reader says yes. `body` is text or nodes, `action` the button's text. `typed`: a word that has to be typed
// first, for what can't be undone.
export async function confirm({ title, body, action, danger = false, typed } = {}) {
  const dialog = openDialog({ title });
  const yes = h("button", { type: "submit", class: danger ? "danger" : "primary", disabled: Boolean(typed) }, action ?? t("yes"));
  const field = typed && h("input", { id: uid("typed"), autocomplete: "off", spellcheck: "false" });
  field?.addEventListener("input", () => (yes.disabled = field.value.trim() !== typed));
  const form = h(
    "form",
    { on: { submit: (event) => (event.preventDefault(), yes.disabled || dialog.close(true)) } },
    h("div", { class: "stack" }, typeof body === "string" ? h("p", {}, body) : body),
    field && h("p", { class: "field" }, h("label", { for: field.id }, t("type.to.confirm", { word: typed })), field),
    h("div", { class: "row end" }, h("button", { type: "button", on: { click: () => dialog.close() } }, t("cancel")), yes),
  );
  dialog.foot.remove();
  replace(dialog.body, form);
  (field ?? form.querySelector("button")).focus();
  return Boolean(await dialog.closed);
}

// Where messages appear. It is there before the first one, so that this one is read aloud, too.
export function toasts() {
  return h("div", { class: "toasts", role: "status", "aria-live": "polite" });
}

// An open dialog lies over everything that is not in it.
function place() {
  const host = document.querySelector("dialog[open]") ?? document.body;
  const region = host.querySelector(":scope > .toasts") ?? toasts();
  host.append(region);
  return region;
}

// A short message that goes by itself, and is read aloud. kind: "good", "info", "warning", "error" (stays until closed).
export function toast(text, { kind = "good" } = {}) {
  const away = () => element.remove();
  const element = h(
    "div",
    { class: `toast ${kind}` },
    icon({ good: "check", warning: "warning", error: "error" }[kind] ?? "info"),
    h("p", {}, text),
    h("button", { type: "button", class: "quiet square", "aria-label": t("close"), on: { click: away } }, icon("close")),
  );
  place().append(element);
  if (kind !== "error") setTimeout(away, 6000);
  return element;
}
