// What every page of fuseguard shares. Text gets into the page as text nodes only: nothing here parses markup.
"use strict";

const fuseguard = {};

fuseguard.data = JSON.parse(document.getElementById("data").textContent);

const SVG = "http://www.w3.org/2000/svg";

// An element with attributes and children. A child that is not an element is text; null and false are nothing.
fuseguard.el = function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
};

fuseguard.svg = function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
};

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

fuseguard.counted = function counted(number, noun) {
  return number.toLocaleString("en") + " " + noun + (number === 1 ? "" : "s");
};

// Six significant digits. Infinities come as text, since JSON has none.
fuseguard.number = function number(value) {
  if (value === null || value === undefined) return "none";
  if (typeof value !== "number") return String(value);
  return String(Number(value.toPrecision(6)));
};

fuseguard.badge = function badge(kind, text) {
  return fuseguard.el("span", { class: "badge " + kind }, text || kind);
};

// A table in a box that scrolls by itself, so that the page never does.
fuseguard.table = function table(caption, headings, rows) {
  const el = fuseguard.el;
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {},
      el("thead", {}, el("tr", {}, headings.map((heading) => el("th", { scope: "col" }, heading)))),
      el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell)))))));
};

// --- light and dark -------------------------------------------------------------------------------------------

const THEMES = ["auto", "light", "dark"];

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  fuseguard.themeButton.textContent = "Theme: " + theme;
  try {
    localStorage.setItem("fuseguard-theme", theme);
  } catch {
    // A page in a frame or in a private window may have no storage.
  }
}

fuseguard.nextTheme = function nextTheme() {
  const now = THEMES.indexOf(document.documentElement.dataset.theme);
  setTheme(THEMES[(now + 1) % THEMES.length]);
};

fuseguard.themeButton = fuseguard.el("button", { type: "button", id: "theme", click: () => fuseguard.nextTheme() });

fuseguard.startTheme = function startTheme() {
  let kept = null;
  try {
    kept = localStorage.getItem("fuseguard-theme");
  } catch {
    // As above.
  }
  setTheme(THEMES.includes(kept) ? kept : "auto");
};
