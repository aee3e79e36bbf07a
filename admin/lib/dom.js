// Elements are made here and nowhere else. Text gets in as text only, so that no file name and no message of a server can
// become markup.

const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "indeterminate", "multiple", "open"]);
const SVG = "http://www.w3.org/2000/svg";

// An address from somewhere else must not be a script. The page's policy would refuse it, too.
function address(value) {
  const scheme = /^[\s\u0000-\u001f]*([a-z][a-z0-9+.-]*):/i.exec(String(value));
  if (scheme && !["http", "https", "blob", "mailto"].includes(scheme[1].toLowerCase())) return "about:blank";
  return value;
}

function set(element, name, value) {
  if (value === undefined || value === null || (value === false && !name.startsWith("aria-"))) return;
  if (name === "on") {
    for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
  } else if (name === "style") {
    for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
  } else if (name === "dataset") {
    Object.assign(element.dataset, value);
  } else if (PROPERTIES.has(name) && !(element instanceof SVGElement)) {
    element[name] = value;
  } else if (/^on/i.test(name) || name === "srcdoc" || name === "innerHTML") {
    throw new TypeError(`h() takes no ${name}`);
  } else if (name === "href" || name === "src") {
    element.setAttribute(name, address(value));
  } else {
    element.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : String(value));
  }
}

function build(element, props, children) {
  // A <select>'s value can be set when its options are there.
  const late = props && "value" in props && element.localName === "select" ? props.value : undefined;
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  append(element, children);
  if (late !== undefined) element.value = late;
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false || child === true) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

// h("a", {class: "button", href: "#/", on: {click: fn}, "aria-label": "..."}, "text", anotherElement)
// Properties: class, on: {event: listener}, style: {property: value}, dataset: {name: value}, and attributes by their
// names. null, undefined and false leave one out. Children: nodes, texts, numbers, lists of them; null and false are none.
export function h(tag, props, ...children) {
  return build(document.createElement(tag), props, children);
}

// The same for SVG.
export function s(tag, props, ...children) {
  return build(document.createElementNS(SVG, tag), props, children);
}

export function replace(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

const FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]";

// As replace(), for what is drawn again and again: the focus stays where it was, <details> stay open, and nothing happens
// while the reader has a text of it selected.
export function refresh(node, ...children) {
  const selection = getSelection();
  if (!selection.isCollapsed && node.contains(selection.anchorNode)) return node;
  const focus = node.contains(document.activeElement) ? [...node.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement) : -1;
  const open = [...node.querySelectorAll("details")].map((details) => details.open);
  replace(node, ...children);
  node.querySelectorAll("details").forEach((details, i) => (details.open = open[i] ?? false));
  if (focus >= 0) [...node.querySelectorAll(FOCUSABLE)][focus]?.focus({ preventScroll: true });
  return node;
}

let last = 0;
// An id that nothing else on the page has, for labels.
export function uid(prefix = "u") {
  return `${prefix}-${++last}`;
}

// Outlines of 24 x 24, drawn with the text's colour.
const ICONS = {
  menu: "M4 6h16M4 12h16M4 18h16",
  close: "M6 6l12 12M18 6L6 18",
  overview: "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z",
  images: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.500 9h.01",
  actions: "M13 3L5 14h6l-1 7 8-11h-6z",
  jobs: "M12 7v5l3 2M12 21a9 9 0 100-18 9 9 0 000 18z",
  uploads: "M12 16V5M7 10l5-5 5 5M5 19h14",
  settings: "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
  theme: "M20 14.500A8 8 0 119.500 4a6.500 6.500 0 0010.500 10.500z",
  language: "M12 21a9 9 0 100-18 9 9 0 000 18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  logout: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  search: "M11 17a6 6 0 100-12 6 6 0 000 12zM20 20l-4.700-4.700",
  grid: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  list: "M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01",
  trash: "M5 7h14M10 11v6M14 11v6M7 7l1 13h8l1-13M9 7V4h6v3",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  restore: "M4 5v5h5M4.600 10a8 8 0 112 7.600",
  refresh: "M20 5v5h-5M19.400 10a8 8 0 10-2 7.600",
  check: "M5 12.500l4.500 4.500L19 7",
  warning: "M12 4L2.500 20h19zM12 10v4M12 17h.01",
  info: "M12 21a9 9 0 100-18 9 9 0 000 18zM12 11v5M12 8h.01",
  error: "M12 21a9 9 0 100-18 9 9 0 000 18zM9 9l6 6M15 9l-6 6",
  next: "M9 5l7 7-7 7",
  back: "M15 5l-7 7 7 7",
};

// A picture beside a text; who reads aloud is spared of it.
export function icon(name) {
  return s(
    "svg",
    { class: `icon icon-${name}`, viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    s("path", { d: ICONS[name] }),
  );
}
