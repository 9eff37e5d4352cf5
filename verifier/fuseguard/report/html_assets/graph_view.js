// The whole graph on the page: drawn by graph_model.js's layout, moved and zoomed, searched, and walked by keys.
"use strict";

(function () {
  const { data, el, svg, counted } = fuseguard;
  const SHORTEST = 30; // characters of a line in a box; the rest is in its title
  const LINE = 15;
  const COLOURS = 8; // of domains, in turn
  const MOST_OPEN = 400; // boxes up to which all groups are opened at once
  const OPEN_AT_FIRST = 40;
  const SEVERITIES = ["note", "warning", "error"];

  // `toFinding` is called with the number of a finding that is to be shown in the list of findings.
  fuseguard.graphView = function graphView(toFinding) {
    let model = null, stored = false, selected = null, matches = [], match = -1, drag = null;
    const view = { x: 0, y: 0, scale: 1 };
    const boxes = new Map(); // item -> its element and its place in the whole drawing
    const pointers = new Map();

    // --- what is around the drawing --------------------------------------------------------------------------

    const scene = svg("g", {});
    const canvas = svg("svg", {
      class: "canvas", tabindex: "0", role: "application", "aria-roledescription": "graph",
      "aria-label": "Graph. Arrow keys move along edges, Enter opens or closes a group, plus and minus zoom, n goes to the next finding.",
      wheel, pointerdown, pointermove, pointerup, pointercancel: pointerup, keydown,
    }, scene);
    const status = el("p", { class: "muted shown", role: "status", "aria-live": "polite" });
    const panel = el("aside", { class: "panel", "aria-label": "Selected node", tabindex: "0" });
    const choice = el("select", { id: "graph-choice", "aria-label": "Graph", change: () => show(Number(choice.value)) },
      data.whole.graphs.map((graph, number) => el("option", { value: number }, titleOf(graph))));
    const search = el("input", {
      type: "search", id: "graph-search", placeholder: "Search node, op, module, source", "aria-label": "Search nodes",
      input: find, keydown: (event) => {
        if (event.key === "Enter") { event.preventDefault(); nextMatch(event.shiftKey ? -1 : 1); }
        if (event.key === "Escape") search.blur();
      },
    });
    const storedBox = el("input", { type: "checkbox", id: "graph-stored", change: () => { stored = storedBox.checked; rebuild(); } });
    const button = (id, text, label, act) => el("button", { type: "button", id, title: label, "aria-label": text.length === 1 ? label : null, click: act }, text);
    const places = new Map(); // number of a finding -> the graph and the node where it is
    data.whole.graphs.forEach((graph, number) => graph.marks.forEach(([node, ...findings]) => findings.forEach((found) => {
      if (!places.has(found)) places.set(found, [number, node]);
    })));
    const element = el("div", { class: "whole" },
      el("form", { class: "filters inside-graph", role: "search", submit: (event) => event.preventDefault() },
        data.whole.graphs.length > 1 && choice, search,
        button("graph-out", "\u2212", "Zoom out", () => zoom(1 / 1.4)), button("graph-in", "+", "Zoom in", () => zoom(1.4)),
        button("graph-fit", "Fit", "Show all of the graph", fit),
        button("graph-open", "Open all", "Open groups, as many as can be drawn", () => openAll(true)),
        button("graph-close", "Close all", "Close all groups", () => openAll(false)),
        places.size > 0 && button("graph-next", "Next finding", "Go to the next node with a finding", () => nextMarked(1)),
        el("label", { class: "chip" }, storedBox, " weights and biases"), status),
      data.whole.left_out > 0 && el("p", {}, counted(data.whole.left_out, "node") +
        " of further graphs left out: the page would be too large. Check fewer files at a time."),
      el("div", { class: "stage" }, canvas, panel), legend());

    function titleOf(graph) {
      const file = data.files.length > 1 ? data.files[graph.file].file + ": " : "";
      const name = graph.name || (graph.delegate ? "" : "top level");
      return file + name + (graph.delegate ? " (delegate, " + graph.delegate + ")" : "") + ", " + counted(graph.nodes.length, "node");
    }

    function legend() {
      const key = (css, text) => [el("span", { class: "key " + css }), text];
      return el("p", { class: "legend muted" },
        key("offending", "error"), key("warned", "warning"), key("noted", "note"), key("outline", "refused by the guard"),
        key("cpu", "on the CPU"), key("delegated", "delegated"), key("quantizer", "quantize and dequantize"),
        key("island", "anchor of an island"), key("module", "module, closed"),
        el("span", { class: "stripes", "aria-hidden": "true" }, Array.from({ length: COLOURS }, (_, index) =>
          el("span", { class: "stripe domain-" + index }))), "quantization domain: same codes, same colour");
    }

    // --- drawing ---------------------------------------------------------------------------------------------

    function draw() {
      boxes.clear();
      const drawn = [];
      place(model.root, 0, 0, drawn);
      scene.replaceChildren(...drawn);
      mark();
      apply();
    }

    // The contents of an open group. Edges come first, so that boxes are above them.
    function place(one, left, top, drawn) {
      const layout = fuseguard.graphLayout(one);
      for (const edge of layout.edges) {
        const css = ["edge", edge.offending && "offending", edge.domain >= 0 && "in-domain domain-" + edge.domain % COLOURS];
        const arrow = fuseguard.arrow(edge.points.map((point) => ({ x: point.x + left, y: point.y + top })), css.filter(Boolean).join(" "));
        if (edge.count > 1) arrow.append(svg("title", {}, counted(edge.count, "edge")));
        drawn.push(arrow);
      }
      for (const { child, x, y, width, height } of layout.children) {
        const at = { x: x + left, y: y + top, width, height };
        const open = child.group && child.open;
        const made = open ? frame(child, at) : box(child, at);
        made.setAttribute("id", "graph-item-" + boxes.size);
        boxes.set(child, { element: made, ...at });
        drawn.push(made);
        if (open) place(child, at.x, at.y, drawn);
      }
    }

    function classes(item) {
      return [
        "box", item.group ? "module" : item.kind, item.worst >= 0 && "found " + SEVERITIES[item.worst],
        !item.group && item.cpu && "on-cpu", !item.group && item.delegated && "delegated",
      ].filter(Boolean).join(" ");
    }

    function box(item, at) {
      const lines = fuseguard.graphLines(item);
      const made = svg("g", { class: classes(item) }, svg("title", {}, lines.join("\n")),
        Boolean(item.refused) && svg("rect", { class: "ring", x: at.x - 3, y: at.y - 3, width: at.width + 6, height: at.height + 6, rx: 7 }),
        svg("rect", { class: "body", x: at.x, y: at.y, width: at.width, height: at.height, rx: /^(q|dq)$/.test(item.kind) ? 11 : 4 }),
        item.domain >= 0 && svg("rect", { class: "stripe domain-" + item.domain % COLOURS, x: at.x, y: at.y + 5, width: 6, height: at.height - 10 }));
      lines.forEach((line, row) => made.append(svg("text", {
        x: at.x + at.width / 2, y: at.y + 16 + row * LINE, "text-anchor": "middle", class: row === 0 ? "label" : "fact",
      }, line.length > SHORTEST ? line.slice(0, SHORTEST - 1) + "\u2026" : line)));
      const told = tags(item);
      if (told) {
        const width = told.length * 6 + 8;
        made.append(svg("rect", { class: "tag", x: at.x + at.width - width + 6, y: at.y - 8, width, height: 14, rx: 7 }),
          svg("text", { class: "tagged", x: at.x + at.width - width / 2 + 6, y: at.y + 3, "text-anchor": "middle" }, told));
      }
      return made;
    }

    function tags(item) {
      const several = item.group ? (count, word) => count > 0 && count + " " + word : (yes, word) => yes && word;
      return [item.worst >= 0 && SEVERITIES[item.worst], several(item.cpu, "CPU"),
        item.group ? several(item.delegated, "delegated") : item.delegated && item.bodies.length > 0 && "delegate"].filter(Boolean).join(", ");
    }

    function frame(item, at) {
      return svg("g", { class: "frame" },
        svg("rect", { class: "body", x: at.x, y: at.y, width: at.width, height: at.height, rx: 8 }),
        svg("rect", { class: "bar", x: at.x, y: at.y, width: at.width, height: 22, rx: 8 }),
        svg("text", { class: "label", x: at.x + 10, y: at.y + 15 }, "\u25be " + item.label));
    }

    // What does not change where anything is: the selection, its domain, and what the search has found.
    function mark() {
      const found = new Set(matches);
      const domain = selected && !selected.group && selected.domain >= 0 ? selected.domain : null;
      for (const [item, { element: made }] of boxes) {
        made.classList.toggle("selected", item === selected);
        made.classList.toggle("same-domain", !item.group && domain !== null && item.domain === domain);
        made.classList.toggle("match", !item.group && found.has(item));
      }
      const current = boxes.get(selected);
      if (current) canvas.setAttribute("aria-activedescendant", current.element.id);
      else canvas.removeAttribute("aria-activedescendant");
    }

    // --- moving and zooming ----------------------------------------------------------------------------------

    function apply() {
      scene.setAttribute("transform", "translate(" + view.x + " " + view.y + ") scale(" + view.scale + ")");
    }

    function zoom(factor, at) {
      const size = canvas.getBoundingClientRect();
      const x = at ? at.x - size.left : size.width / 2, y = at ? at.y - size.top : size.height / 2;
      const scale = Math.min(4, Math.max(0.03, view.scale * factor));
      view.x = x - (x - view.x) * scale / view.scale;
      view.y = y - (y - view.y) * scale / view.scale;
      view.scale = scale;
      apply();
    }

    function fit() {
      const size = canvas.getBoundingClientRect(), layout = fuseguard.graphLayout(model.root);
      view.scale = Math.min(1.2, (size.width - 24) / layout.width, (size.height - 24) / layout.height);
      view.x = (size.width - layout.width * view.scale) / 2;
      view.y = (size.height - layout.height * view.scale) / 2;
      apply();
    }

    // All of a small graph; of a large one, its top at a size that can be read.
    function start() {
      fit();
      const readable = Math.min(0.75, (canvas.getBoundingClientRect().width - 24) / 260);
      if (view.scale < readable) {
        const layout = fuseguard.graphLayout(model.root), size = canvas.getBoundingClientRect();
        view.scale = readable;
        view.x = (size.width - layout.width * readable) / 2;
        view.y = 14;
        const top = layout.children[0];
        if (layout.width * readable > size.width && top) view.x = size.width / 2 - (top.x + top.width / 2) * readable;
        apply();
      }
    }

    function centre(item) {
      const at = boxes.get(item), size = canvas.getBoundingClientRect();
      if (!at) return;
      view.scale = Math.min(1.5, Math.max(0.8, view.scale));
      view.x = size.width / 2 - (at.x + at.width / 2) * view.scale;
      view.y = size.height / 2 - (at.y + Math.min(at.height, 60) / 2) * view.scale;
      apply();
    }

    function inSight(item) {
      const at = boxes.get(item), size = canvas.getBoundingClientRect();
      if (!at || view.scale < 0.4) return false;
      const x = at.x * view.scale + view.x, y = at.y * view.scale + view.y;
      return x > 0 && y > 0 && x + at.width * view.scale < size.width && y + Math.min(at.height, 60) * view.scale < size.height;
    }

    function wheel(event) {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0015)), { x: event.clientX, y: event.clientY });
    }

    function pointerdown(event) {
      if (event.button !== 0) return;
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      drag = { moved: 0, target: event.target };
    }

    function pointermove(event) {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const now = { x: event.clientX, y: event.clientY };
      const other = [...pointers].find(([id]) => id !== event.pointerId);
      drag.moved += Math.hypot(now.x - before.x, now.y - before.y);
      if (drag.moved > 4) canvas.setPointerCapture(event.pointerId);
      if (other) {
        const from = other[1], spread = (point) => Math.hypot(point.x - from.x, point.y - from.y) || 1;
        zoom(spread(now) / spread(before), { x: (now.x + from.x) / 2, y: (now.y + from.y) / 2 });
      } else {
        view.x += now.x - before.x;
        view.y += now.y - before.y;
        apply();
      }
      pointers.set(event.pointerId, now);
    }

    function pointerup(event) {
      if (!pointers.delete(event.pointerId) || !drag || event.type === "pointercancel") return;
      if (drag.moved <= 4) clicked(drag.target);
    }

    function clicked(target) {
      const made = target.closest && target.closest(".box, .frame");
      const found = made && [...boxes].find(([, one]) => one.element === made);
      if (!found) return select(null);
      const [item] = found;
      const header = !item.open || target.closest(".bar, text");
      if (item.group && header) toggle(item);
      select(item);
    }

    // Opens or closes a group, which stays where it is on the screen.
    function toggle(item) {
      const before = boxes.get(item);
      fuseguard.graphToggle(item, !item.open);
      draw();
      const after = boxes.get(item);
      view.x += (before.x + before.width / 2 - after.x - after.width / 2) * view.scale;
      view.y += (before.y - after.y) * view.scale;
      apply();
    }

    // Opens groups, the outermost first, as long as there are at most so many boxes.
    function openUpTo(most) {
      const order = [model.root];
      let count = model.root.children.length;
      for (let at = 0; at < order.length; at += 1) {
        for (const child of order[at].children) {
          if (!child.group || count + child.children.length > most) continue;
          count += child.children.length;
          if (!child.open) fuseguard.graphToggle(child, true);
          order.push(child);
        }
      }
    }

    function closeAll() {
      const order = [model.root];
      for (let at = 0; at < order.length; at += 1) {
        for (const child of order[at].children.filter((one) => one.group)) {
          if (child.open) fuseguard.graphToggle(child, false);
          order.push(child);
        }
      }
    }

    function openAll(open) {
      if (open) openUpTo(MOST_OPEN);
      else closeAll();
      draw();
      start();
      status.textContent = open ? counted(boxes.size, "box").replace("boxs", "boxes") + " drawn" : "All groups are closed";
    }

    // --- the selection ---------------------------------------------------------------------------------------

    function select(item) {
      selected = item;
      mark();
      panel.replaceChildren(...(item ? fuseguard.graphPanel(item, model, { goTo, show, toFinding, toggle, titleOf }) : about()));
      if (!item) return;
      status.textContent = [item.group ? "group " + item.label : item.name + ", " + item.label, tags(item), item.refused ? "refused" : ""]
        .filter(Boolean).join(", ");
      try {
        history.replaceState(null, "", "#graph-" + model.number + "/" + encodeURIComponent(item.group ? "" : item.name));
      } catch {
        // A page in a frame has no address of its own.
      }
    }

    function about() {
      const nodes = model.nodes, marked = (key) => nodes.filter((node) => node[key]).length;
      const domains = new Set(nodes.map((node) => node.domain).filter((domain) => domain >= 0)).size;
      const facts = [
        ["nodes", nodes.length.toLocaleString("en")], ["domains", domains.toLocaleString("en")], ["refused", marked("refused")],
        ["on the CPU", marked("cpu")], ["delegated", marked("delegated")],
        ["with findings", nodes.filter((node) => node.findings.length > 0).length],
      ];
      return [el("h2", {}, titleOf(model.told)),
        el("dl", { class: "facts" }, facts.filter(([, value]) => value).map(([label, value]) => [el("dt", {}, label), el("dd", {}, value)])),
        el("p", { class: "muted" }, "Click a module to open it, and a node to see what it reads and who reads it. Drag to move, turn the wheel to zoom.")];
    }

    // Shows a node wherever it is hidden.
    function goTo(index) {
      if (!model.nodes[index].shown) {
        stored = storedBox.checked = true;
        model = fuseguard.graphModel(model.number, stored);
        matches = matches.map((node) => model.nodes[node.index]);
      }
      const node = model.nodes[index];
      fuseguard.graphReveal(node);
      draw();
      select(node);
      if (!inSight(node)) centre(node);
    }

    function find() {
      const text = search.value.trim().toLowerCase();
      matches = text ? model.nodes.filter((node) => [node.name, node.target, node.module, node.source, ...node.facts]
        .join(" ").toLowerCase().includes(text)) : [];
      match = -1;
      status.textContent = text ? counted(matches.length, "match").replace("matchs", "matches") + (matches.length ? "; Enter shows the next one" : "") : "";
      mark();
    }

    function nextMatch(step) {
      if (matches.length === 0) return;
      match = (match + step + matches.length) % matches.length;
      goTo(matches[match].index);
      status.textContent = (match + 1) + " of " + counted(matches.length, "match").replace("matchs", "matches") + ": " + matches[match].name;
    }

    function nextMarked(step) {
      const marked = model.nodes.filter((node) => node.findings.length > 0).map((node) => node.index);
      if (marked.length === 0) return;
      const now = selected ? (selected.group ? selected.from : selected.index) : -1;
      const next = step > 0 ? marked.find((index) => index > now) : [...marked].reverse().find((index) => index < now);
      goTo(next === undefined ? marked[step > 0 ? 0 : marked.length - 1] : next);
    }

    // --- keys ------------------------------------------------------------------------------------------------

    // The node, or the closed group that it is in.
    function visible(index) {
      let found = model.nodes[index];
      if (!found.shown) return null;
      for (let above = found.parent; above; above = above.parent) if (!above.open) found = above;
      return found;
    }

    function neighbour(key) {
      if (!selected) return model.root.children[0];
      const siblings = selected.parent.children, at = siblings.indexOf(selected);
      if (key === "ArrowLeft") return siblings[at - 1];
      if (key === "ArrowRight") return siblings[at + 1];
      if (!selected.group) return selected[key === "ArrowUp" ? "reads" : "readers"].map(visible).find(Boolean);
      const edges = selected.parent.edges;
      if (key === "ArrowDown") return [...(edges.get(selected) || new Map()).keys()][0];
      return [...edges].filter(([, ends]) => ends.has(selected)).map(([from]) => from)[0];
    }

    function keydown(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const arrows = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      const actions = {
        "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: fit, Escape: () => select(null),
        n: () => nextMarked(1), p: () => nextMarked(-1), Enter: () => selected && selected.group && toggle(selected),
      };
      if (arrows[event.key] && event.shiftKey) {
        view.x += arrows[event.key][0] * 60;
        view.y += arrows[event.key][1] * 60;
        apply();
      } else if (arrows[event.key]) {
        const next = neighbour(event.key);
        if (next) {
          select(next);
          if (!inSight(next)) centre(next);
        }
      } else if (actions[event.key]) {
        actions[event.key]();
      } else {
        return;
      }
      event.preventDefault();
      event.stopPropagation();
    }

    // --- from outside ----------------------------------------------------------------------------------------

    function rebuild() {
      const index = selected && !selected.group ? selected.index : -1;
      model = fuseguard.graphModel(model.number, stored);
      openUpTo(OPEN_AT_FIRST);
      selected = null;
      find();
      draw();
      start();
      if (index >= 0 && model.nodes[index].shown) goTo(index);
      else select(null);
    }

    // Shows a graph, and one of its nodes by number or name. The element has to be on the page.
    function show(number, node) {
      if (!model || model.number !== number) {
        model = fuseguard.graphModel(number, stored);
        openUpTo(OPEN_AT_FIRST);
        choice.value = String(number);
        selected = null;
        find();
        draw();
        start();
        select(null);
      }
      const index = typeof node === "string" ? model.nodes.findIndex((one) => one.name === node) : node;
      if (index >= 0) goTo(index);
    }

    return { element, show, places, focus: () => canvas.focus({ preventScroll: true }), search: () => search.focus() };
  };
})();
