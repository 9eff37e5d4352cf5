// The whole graph as a tree of modules. Each level is laid out by itself and is small, however large the program is:
// a module with many children is split into parts. Nothing here touches the page.
"use strict";

(function () {
  const { data, counted } = fuseguard;
  const FLAT = 150; // nodes that are drawn without boxes for modules
  const WIDEST = 60; // children of one level; more are split into parts
  const LONGEST = 30; // characters of a line in a box
  const CHARACTER = 6.7, LINE = 15, HEADER = 26, PADDING = 10;

  // Flags of a node, as html_graph.py has them.
  const FLAGS = { refused: 1, cpu: 2, delegated: 4, stored: 8 };
  const SEVERITIES = ["note", "warning", "error"]; // by rank

  // One graph of a program. `stored` says whether weights and other constants are drawn.
  fuseguard.graphModel = function graphModel(number, stored) {
    const told = data.whole.graphs[number];
    const marks = new Map(told.marks.map(([node, ...findings]) => [node, findings]));
    const reasons = new Map(told.reasons);
    const bodies = new Map(told.bodies.map(([node, ...graphs]) => [node, graphs]));
    const nodes = told.nodes.map(([name, shape, module, reads, domain, source, flags], index) => {
      const [label, kind, target, ...facts] = data.whole.shapes[shape];
      const findings = marks.get(index) || [];
      const worst = Math.max(-1, ...findings.map((found) => SEVERITIES.indexOf(data.groups[data.findings[found].group].severity)));
      return {
        index, name, label, kind, target, facts, module: told.modules[module], reads, domain, findings, worst,
        source: source < 0 ? "" : data.whole.sources[source], bodies: bodies.get(index) || [], readers: [],
        reason: reasons.get(index) || "",
        refused: (flags & FLAGS.refused) > 0, cpu: (flags & FLAGS.cpu) > 0, delegated: (flags & FLAGS.delegated) > 0,
        stored: (flags & FLAGS.stored) > 0,
      };
    });
    nodes.forEach((node) => node.reads.forEach((read) => nodes[read].readers.push(node.index)));
    nodes.forEach((node) => { node.shown = stored || !node.stored || node.findings.length > 0; });
    const root = tree(nodes.filter((node) => node.shown));
    lift(root, nodes);
    return { told, number, nodes, root };
  };

  // --- groups ------------------------------------------------------------------------------------------------

  function group(label, path) {
    return { group: true, label, path, children: [], parent: null, open: false, edges: new Map(), size: 0, layout: null };
  }

  function tree(shown) {
    const root = group("", "");
    root.open = true;
    if (shown.length <= FLAT) {
      shown.forEach((node) => adopt(root, node));
    } else {
      const made = new Map([["", root]]);
      for (const node of shown) adopt(moduleOf(node.module, made), node);
      simplify(root);
    }
    sum(root);
    return root;
  }

  function moduleOf(path, made) {
    if (made.has(path)) return made.get(path);
    const dot = path.lastIndexOf(".");
    const parent = moduleOf(dot < 0 ? "" : path.slice(0, dot), made);
    const one = group(dot < 0 ? path : path.slice(dot + 1), path);
    made.set(path, one);
    adopt(parent, one);
    return one;
  }

  function adopt(parent, child) {
    child.parent = parent;
    parent.children.push(child);
  }

  // A module with one child is that child; one with many is split. Without recursion: paths may be deep.
  function simplify(root) {
    const order = [root];
    for (let at = 0; at < order.length; at += 1) order.push(...order[at].children.filter((child) => child.group));
    for (const one of order.reverse()) {
      one.children = one.children.map((child) => {
        if (!child.group || child.children.length !== 1) return child;
        const only = child.children[0];
        if (only.group) only.label = child.label + "." + only.label;
        return only;
      });
      one.children.forEach((child) => { child.parent = one; });
      one.children.sort((left, right) => first(left) - first(right));
      while (one.children.length > WIDEST) split(one);
    }
  }

  function first(item) {
    while (item.group) item = item.children[0];
    return item.index;
  }

  function last(item) {
    while (item.group) item = item.children[item.children.length - 1];
    return item.index;
  }

  function split(one) {
    const children = one.children, size = Math.min(WIDEST, Math.ceil(children.length / Math.ceil(children.length / WIDEST)));
    one.children = [];
    for (let from = 0; from < children.length; from += size) {
      const some = children.slice(from, from + size);
      const ends = [some[0], some[some.length - 1]].map((item) => item.label || item.name);
      const part = group(ends[0] === ends[1] ? ends[0] : ends[0] + " \u2026 " + ends[1], one.path);
      some.forEach((child) => adopt(part, child));
      adopt(one, part);
    }
  }

  // What is to be seen of a group that is closed: how many nodes, the worst finding, what is refused or on the CPU.
  function sum(root) {
    const order = [root];
    for (let at = 0; at < order.length; at += 1) order.push(...order[at].children.filter((child) => child.group));
    for (const one of order.reverse()) {
      Object.assign(one, { size: 0, worst: -1, marked: 0, refused: 0, cpu: 0, delegated: 0, from: first(one), to: last(one) });
      for (const child of one.children) {
        one.size += child.group ? child.size : 1;
        one.worst = Math.max(one.worst, child.worst);
        one.marked += child.group ? child.marked : Number(child.findings.length > 0);
        for (const key of ["refused", "cpu", "delegated"]) one[key] += Number(child[key]);
      }
    }
  }

  // Each edge belongs to the innermost group that has both of its ends, between the children that have them.
  function lift(root, nodes) {
    const above = (item) => {
      const path = [];
      for (let one = item; one; one = one.parent) path.push(one);
      return path.reverse();
    };
    for (const node of nodes) {
      if (!node.shown) continue;
      const to = above(node);
      for (const read of node.reads) {
        if (!nodes[read].shown) continue;
        const from = above(nodes[read]);
        let depth = 0;
        while (from[depth] === to[depth]) depth += 1;
        const inner = from[depth - 1], producer = from[depth], reader = to[depth];
        if (!inner.edges.has(producer)) inner.edges.set(producer, new Map());
        const ends = inner.edges.get(producer);
        const edge = ends.get(reader) || { count: 0, domain: -1, offending: false };
        edge.count += 1;
        if (node.domain >= 0 && node.domain === nodes[read].domain) edge.domain = node.domain;
        edge.offending = edge.offending || (node.findings.length > 0 && nodes[read].findings.some((one) => node.findings.includes(one)));
        ends.set(reader, edge);
      }
    }
  }

  // --- where everything is -----------------------------------------------------------------------------------

  fuseguard.graphLines = function graphLines(item) {
    if (item.group) {
      return [item.label, counted(item.size, "node"), item.marked > 0 && item.marked.toLocaleString("en") + " with findings"].filter(Boolean);
    }
    const named = item.label === item.name || item.label === item.kind && item.kind !== "output" ? [item.name] : [item.label, item.name];
    return [...named, ...item.facts.slice(0, 1)];
  };

  // Sizes and places within each open group; only what has changed since the last time is laid out again.
  fuseguard.graphLayout = function graphLayout(one) {
    if (one.layout) return one.layout;
    const graph = new dagre.graphlib.Graph();
    graph.setGraph({ rankdir: "TB", nodesep: 14, ranksep: 24, edgesep: 8, marginx: PADDING, marginy: PADDING });
    graph.setDefaultEdgeLabel(() => ({}));
    const number = new Map(one.children.map((child, index) => [child, String(index)]));
    one.children.forEach((child, index) => graph.setNode(String(index), sizeOf(child)));
    for (const [from, ends] of one.edges) {
      for (const to of ends.keys()) graph.setEdge(number.get(from), number.get(to));
    }
    dagre.layout(graph);
    const { width, height } = graph.graph();
    const top = one.parent ? HEADER : 0;
    const titled = one.parent ? fuseguard.graphLines(one)[0].length * CHARACTER + 60 : 0;
    one.layout = {
      width: Math.max(width, titled), height: height + top,
      children: one.children.map((child, index) => {
        const place = graph.node(String(index));
        return { child, x: place.x - place.width / 2, y: place.y - place.height / 2 + top, width: place.width, height: place.height };
      }),
      edges: [...one.edges].flatMap(([from, ends]) => [...ends].map(([to, edge]) => ({
        ...edge, from, to,
        points: graph.edge(number.get(from), number.get(to)).points.map((point) => ({ x: point.x, y: point.y + top })),
      }))),
    };
    return one.layout;
  };

  function sizeOf(child) {
    if (child.group && child.open) {
      const { width, height } = fuseguard.graphLayout(child);
      return { width, height };
    }
    const lines = fuseguard.graphLines(child);
    const longest = Math.max(...lines.map((line) => Math.min(line.length, LONGEST)));
    return { width: longest * CHARACTER + 26, height: lines.length * LINE + 10 };
  }

  fuseguard.graphToggle = function graphToggle(one, open) {
    one.open = open;
    for (let above = one.parent; above; above = above.parent) above.layout = null;
  };

  // Opens every group around an item.
  fuseguard.graphReveal = function graphReveal(item) {
    for (let above = item.parent; above; above = above.parent) if (!above.open) fuseguard.graphToggle(above, true);
  };
})();
