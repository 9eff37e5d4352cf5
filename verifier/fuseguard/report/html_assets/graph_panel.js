// What the panel beside the graph says of a node or a group.
"use strict";

(function () {
  const { data, el, counted, badge } = fuseguard;
  const LISTED = 12; // nodes or findings of a list

  // `on` has what its buttons do: goTo(node), show(graph), toFinding(finding), toggle(group), titleOf(graph).
  fuseguard.graphPanel = function graphPanel(item, model, on) {
    const facts = (pairs) => el("dl", { class: "facts" }, pairs.filter((pair) => pair && pair[1] && pair[1].length !== 0)
      .map(([label, value]) => [el("dt", {}, label), el("dd", {}, value)]));
    const link = (index) => el("button", { type: "button", class: "node", click: () => on.goTo(index) }, model.nodes[index].name);
    const links = (indexes) => [indexes.slice(0, LISTED).map(link), indexes.length > LISTED && " and " + (indexes.length - LISTED) + " more"].filter(Boolean);
    const findings = (numbers) => el("ul", { class: "found-here" }, numbers.slice(0, LISTED).map((number) => {
      const found = data.findings[number], group = data.groups[found.group];
      return el("li", {}, badge(group.severity, group.code), " ",
        el("a", { href: "#finding-" + found.id, click: (event) => { event.preventDefault(); on.toFinding(number); } }, found.message));
    }), numbers.length > LISTED && el("li", {}, "and " + (numbers.length - LISTED) + " more"));
    if (item.group) {
      const inside = [...new Set(model.nodes.filter((node) => node.shown && within(node, item)).flatMap((node) => node.findings))];
      return [el("h2", {}, item.label || item.path),
        facts([["module", item.path], ["nodes", item.size.toLocaleString("en")], ["refused", item.refused && String(item.refused)],
          ["on the CPU", item.cpu && String(item.cpu)], ["delegated", item.delegated && String(item.delegated)]]),
        el("p", {}, el("button", { type: "button", click: () => on.toggle(item) }, item.open ? "Close" : "Open")),
        inside.length > 0 && findings(inside)].filter(Boolean);
    }
    const mates = model.nodes.filter((node) => item.domain >= 0 && node.domain === item.domain);
    const qparams = [...new Set(mates.filter((node) => /^(q|dq)$/.test(node.kind)).map((node) => node.facts[0]))];
    const state = [item.refused && "refused by the guard", item.cpu && "on the CPU", item.delegated && "delegated"].filter(Boolean).join(", ");
    return [el("h2", {}, item.name),
      findings(item.findings),
      facts([["op", item.target || item.label], ["value", item.facts.join("; ")], ["module", item.module], ["state", state], ["reason", item.reason],
        ["source", item.source], ["reads", links(item.reads)], ["read by", links(item.readers)],
        mates.length > 0 && ["domain", [item.domain + ": " + counted(mates.length, "node") + ", " + (qparams.slice(0, 3).join(" and ") || "no qparams") +
          (qparams.length > 1 ? ", which differ" : "")]],
        item.bodies.length > 0 && ["contains", item.bodies.map((number) =>
          el("button", { type: "button", class: "node", click: () => on.show(number) }, on.titleOf(data.whole.graphs[number])))]]),
    ].filter(Boolean);
  };

  function within(node, group) {
    for (let above = node.parent; above; above = above.parent) if (above === group) return true;
    return false;
  }
})();
