// Who knows the password comes in.

import { post } from "../lib/api.js";
import { h, replace } from "../lib/dom.js";
import { describe, notice } from "../lib/view.js";
import { t } from "../lib/text.js";

// Draws it into `body`. entered(session) is called when the password was right. `message`: the key of what is said first.
export function showLogin(body, { mark, controls, entered, message, kind = "info" }) {
  const said = h("div", { role: "alert" }, message && notice(kind, h("p", {}, t(message))));
  const refused = !isSecureContext && notice("warning", h("p", {}, t("login.insecure"))); // the cookie, by the browser
  const field = h("input", { id: "password", type: "password", name: "password", autocomplete: "current-password", required: true, dir: "ltr" });
  const button = h("button", { type: "submit", class: "primary" }, t("login.enter"));
  const form = h(
    "form",
    { class: "stack" },
    h("input", { type: "text", name: "username", autocomplete: "username", value: "perdura", hidden: true }), // for what keeps passwords
    h("p", { class: "field" }, h("label", { for: "password" }, t("login.password")), field),
    button,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    replace(said);
    try {
      entered(await post("/admin/login", { password: field.value }));
    } catch (error) {
      replace(said, notice("error", h("p", {}, refusal(error))));
      button.disabled = false;
      field.select();
      field.focus();
    }
  });
  document.title = `${t("login.title")} · Perdura`;
  replace(
    body,
    h(
      "div",
      { class: "login" },
      h("main", { class: "card" }, h("div", { class: "brand" }, mark, h("span", {}, "Perdura")), h("h1", {}, t("login.title")), refused, said, form),
      h("footer", { class: "row center" }, controls),
    ),
  );
  field.focus();
}

function refusal(error) {
  if (error.status === 401) return t("login.wrong");
  if (error.status === 429) return t("login.slowly", { count: error.retryAfter ?? 60 });
  return describe(error);
}
