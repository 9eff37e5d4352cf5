// Drawings: a part of a program laid out by dagre, and the plot of a code range. Made when they are first looked at.
"use strict";

(function () {
  const { el, svg, number } = fuseguard;
  const CHARACTER = 6.7; // pixels of a character of the 11 px monospace font of a box
  const LINE = 15;
  const SMALLEST = 0.72; // of its size, that a drawing is shrunk to where there is little room
  const LONGEST = 30; // characters of a line in a box; the rest is in its title

  // The SVG of one picture: boxes, edges, and an outline around the cluster.
  fuseguard.picture = function picture(told, shapes, label) {
    const boxes = told.nodes.map((number) => box(shapes[number]));
    const graph = layout(told, boxes);
    const size = graph.graph();
    const root = svg("svg", {
      class: "picture", role: "img", "aria-label": label + ": " + described(told, shapes),
      width: Math.ceil(size.width), height: Math.ceil(size.height),
      viewBox: "0 0 " + Math.ceil(size.width) + " " + Math.ceil(size.height),
    });
    root.style.minWidth = Math.ceil(size.width * SMALLEST) + "px"; // a box that is wider than the column scrolls
    if (graph.hasNode("cluster")) root.append(outline(graph.node("cluster")));
    told.edges.forEach(([from, to], index) => {
      const edge = graph.edge(String(from), String(to));
      if (edge) root.append(fuseguard.arrow(edge.points, told.offending_edges.includes(index) ? "edge offending" : "edge"));
    });
    boxes.forEach((one, index) => root.append(drawn(one, graph.node(String(index)), marks(told, index))));
    return root;
  };

  function box([name, label, kind, ...facts]) {
    const lines = (label === kind && kind !== "output" ? [] : [label]).concat(name === label ? [] : [name], facts);
    const told = lines.length ? lines : [label];
    const longest = Math.max(...told.map((line) => Math.min(line.length, LONGEST)));
    return { label, kind, lines: told, full: told.join("\n"), width: longest * CHARACTER + 18, height: told.length * LINE + 9 };
  }

  function layout(told, boxes) {
    try {
      return laidOut(told, boxes, told.cluster.length > 0);
    } catch {
      return laidOut(told, boxes, false); // the outline is worth less than the drawing
    }
  }

  function laidOut(told, boxes, outlined) {
    const graph = new dagre.graphlib.Graph({ compound: true });
    graph.setGraph({ rankdir: "TB", nodesep: 12, ranksep: 20, edgesep: 8, marginx: 6, marginy: 6 });
    graph.setDefaultEdgeLabel(() => ({}));
    boxes.forEach((one, index) => graph.setNode(String(index), { width: one.width, height: one.height }));
    if (outlined) {
      graph.setNode("cluster", {});
      told.cluster.forEach((index) => graph.setParent(String(index), "cluster"));
    }
    for (const [from, to] of told.edges) graph.setEdge(String(from), String(to));
    dagre.layout(graph);
    return graph;
  }

  function marks(told, index) {
    return [
      told.offending.includes(index) && "offending",
      told.added.includes(index) && "added",
    ].filter(Boolean).join(" ");
  }

  function drawn(one, place, marked) {
    const left = place.x - one.width / 2, top = place.y - one.height / 2;
    const group = svg("g", { class: ("box " + one.kind + " " + marked).trim() },
      svg("title", {}, one.full),
      svg("rect", { x: left, y: top, width: one.width, height: one.height, rx: /^(q|dq)$/.test(one.kind) ? 11 : 4 }));
    one.lines.forEach((line, row) => {
      const text = line.length > LONGEST ? line.slice(0, LONGEST - 1) + "\u2026" : line;
      group.append(svg("text", {
        x: place.x, y: top + 15 + row * LINE, "text-anchor": "middle", class: row === 0 ? "label" : "fact",
      }, text));
    });
    return group;
  }

  function outline(place) {
    return svg("g", { class: "outline" },
      svg("title", {}, "The closed cluster that is refused or rewritten together"),
      svg("rect", {
        x: place.x - place.width / 2, y: place.y - place.height / 2, width: place.width, height: place.height, rx: 8,
      }));
  }

  fuseguard.arrow = function arrow(points, css) {
    const [before, end] = points.slice(-2);
    const length = Math.hypot(end.x - before.x, end.y - before.y) || 1;
    const along = { x: (end.x - before.x) / length, y: (end.y - before.y) / length };
    const back = { x: end.x - along.x * 7, y: end.y - along.y * 7 };
    const head = [
      [end.x, end.y], [back.x - along.y * 3.5, back.y + along.x * 3.5], [back.x + along.y * 3.5, back.y - along.x * 3.5],
    ];
    return svg("g", { class: css },
      svg("path", { d: curve([...points.slice(0, -1), back]) }),
      svg("polygon", { points: head.map((point) => point.join(",")).join(" ") }));
  };

  // A path through the middles between the points that dagre names, rounded at each of these.
  function curve(points) {
    const at = (point) => point.x.toFixed(1) + "," + point.y.toFixed(1);
    let path = "M" + at(points[0]);
    for (let index = 1; index < points.length - 1; index += 1) {
      const here = points[index], next = points[index + 1];
      path += "Q" + at(here) + " " + at({ x: (here.x + next.x) / 2, y: (here.y + next.y) / 2 });
    }
    return path + "L" + at(points[points.length - 1]);
  }

  // The picture in words, for whoever does not see it.
  function described(told, shapes) {
    const of = (index) => shapes[told.nodes[index]][0];
    const parts = told.edges.map(([from, to]) => of(from) + " to " + of(to));
    return parts.slice(0, 30).join(", ") + (parts.length > 30 ? " and more" : "");
  }

  // --- the range of codes beside the bounds of an activation -------------------------------------------------

  const WIDTH = 560, LEFT = 92, RIGHT = 16;

  fuseguard.rangePlot = function rangePlot(range) {
    const values = [range.low, range.high, range.minimum, range.maximum].filter((value) => typeof value === "number");
    if (typeof range.low !== "number" || typeof range.high !== "number") return null;
    const spread = Math.max(...values) - Math.min(...values) || 1;
    const low = Math.min(...values) - spread * 0.08, high = Math.max(...values) + spread * 0.08;
    const x = (value) => LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT);
    const bound = {
      low: range.minimum === null ? low : range.minimum, high: range.maximum === null ? high : range.maximum,
    };
    const words = "Codes [" + range.qmin + ", " + range.qmax + "] of " + range.dtype + " reach from " +
      number(range.low) + " to " + number(range.high) + "; " + range.activation + " is bounded " + bounds(range) + ".";
    const root = svg("svg", {
      class: "plot", role: "img", "aria-label": words, width: WIDTH, height: 122, viewBox: "0 0 " + WIDTH + " 122",
    });
    const bar = (name, from, to, top, css) => {
      root.append(svg("text", { x: LEFT - 8, y: top + 13, "text-anchor": "end", class: "fact" }, name));
      root.append(svg("rect", { x: x(from), y: top, width: Math.max(x(to) - x(from), 1), height: 18, class: css }));
    };
    bar("activation", Math.max(bound.low, low), Math.min(bound.high, high), 16, "allowed");
    bar("codes", range.low, range.high, 52, "codes");
    const beyond = (from, to) => {
      if (to > from) root.append(svg("rect", { x: x(from), y: 52, width: x(to) - x(from), height: 18, class: "beyond" }));
    };
    beyond(range.low, Math.min(bound.low, range.high));
    beyond(Math.max(bound.high, range.low), range.high);
    for (const [value, text] of ticks(range)) {
      root.append(svg("line", { x1: x(value), x2: x(value), y1: 8, y2: 84, class: "tick" }));
      root.append(svg("text", { x: x(value), y: text.row, "text-anchor": anchor(x(value)), class: "fact" }, text.text));
    }
    return el("figure", { class: "range" }, root, el("figcaption", {}, words));
  };

  function anchor(place) {
    return place < LEFT + 60 ? "start" : place > WIDTH - 70 ? "end" : "middle";
  }

  function ticks(range) {
    const found = [
      [range.low, { text: number(range.low) + " (code " + range.qmin + ")", row: 98 }],
      [range.high, { text: number(range.high) + " (code " + range.qmax + ")", row: 98 }],
    ];
    for (const value of [range.minimum, range.maximum]) {
      if (typeof value === "number") {
        const code = Math.round(value / range.scale) + range.zero_point;
        found.push([value, { text: "bound " + number(value) + " (code " + code + ")", row: 116 }]);
      }
    }
    return found;
  }

  function bounds(range) {
    const parts = [];
    if (range.minimum !== null) parts.push("below by " + number(range.minimum));
    if (range.maximum !== null) parts.push("above by " + number(range.maximum));
    return parts.join(" and ");
  }
})();
