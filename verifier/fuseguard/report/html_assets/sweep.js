// The page of a sweep: outcomes by step, target and release, and the items that are not clean.
"use strict";

(function () {
  const { data, el, counted, badge, table } = fuseguard;
  const SEVERITY = {
    clean: "good", exact: "good", bounded: "note", note: "note", not_judged: "note", warning: "warning", changed: "warning",
  };
  const of = (name) => SEVERITY[name] || "error";

  const header = el("header", { class: "top" },
    el("div", {},
      el("h1", {}, data.manifest),
      el("p", { class: "muted" }, "fuseguard " + data.tool.version + ", " + counted(data.total, "item") +
        ", exit code " + data.exit_code)),
    el("div", { class: "buttons" }, fuseguard.themeButton));

  const outcomes = el("section", { "aria-labelledby": "outcomes" },
    el("h2", { id: "outcomes" }, "Outcomes"),
    table("Table of outcomes", ["step", "target", "release", "outcomes"], data.groups.map((group) => [
      group.step, group.target, group.release,
      Object.entries(group.counts).map(([name, number]) => [badge(of(name), number + " " + name.replace("_", " ")), " "]),
    ])));

  function items() {
    if (data.notable === 0) return el("p", { class: "muted" }, "Every item is clean.");
    const shown = data.items.length < data.notable ? ", of which the worst " + counted(data.items.length, "item") + " are here" : "";
    return el("section", { "aria-labelledby": "items" },
      el("h2", { id: "items" }, counted(data.notable, "item") + " to look at" + shown),
      table("Table of items", ["model", "step", "target", "release", "outcome", "what happened", "to repeat it"], data.items.map((item) => [
        item.model, item.step, item.target, item.release,
        badge(of(item.outcome || item.status), (item.outcome || item.status).replace("_", " ")),
        item.message, el("code", {}, item.command),
      ])));
  }

  document.getElementById("app").append(header, el("main", {}, outcomes, items()));
  fuseguard.startTheme();
  document.addEventListener("keydown", (event) => {
    if (event.key === "t" && !event.ctrlKey && !event.metaKey && !event.altKey) fuseguard.nextTheme();
  });
  document.documentElement.dataset.ready = "true";
})();
