import { title } from "../lib/view.js";
import { t } from "../lib/text.js";

export async function show(root) {
  root.append(title(t("nav.images")));
}
