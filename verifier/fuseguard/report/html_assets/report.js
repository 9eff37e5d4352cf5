// The page of a check: summary, filters, and findings by rule and cause. What is in a finding is made when it is opened.
"use strict";

(function () {
  const { data, el, counted, number, badge, table } = fuseguard;
  const SEVERITIES = ["error", "warning", "note"];
  const SHOWN = 100; // findings of a group before one asks for more
  const EXPANDED = 50; // findings that are opened at once

  const filter = { text: "", severities: new Set(SEVERITIES), rule: "", file: "" };
  const rows = new Map(); // number of a finding -> its element
  const limits = data.groups.map(() => SHOWN);
  const searched = []; // number of a finding -> the text that is searched, made when it is first needed
  const byAnchor = new Map(data.findings.map((finding, index) => ["finding-" + finding.id, index]));
  const members = data.groups.map(() => []);
  data.findings.forEach((finding, index) => members[finding.group].push(index));

  // --- the head of the page ----------------------------------------------------------------------------------

  function header() {
    const programs = data.files.filter((file) => !file.upkeep);
    const title = programs.length === 1 ? programs[0].file : counted(programs.length, "file");
    return el("header", { class: "top" },
      el("div", {},
        el("h1", {}, title),
        el("p", { class: "muted" }, "fuseguard " + data.tool.version + ", policy " + data.policy)),
      el("div", { class: "buttons" },
        el("button", { type: "button", id: "keys", click: () => help.showModal() }, "Keys"),
        fuseguard.themeButton));
  }

  function summary() {
    const found = data.summary;
    const counts = [["error", found.errors], ["warning", found.warnings], ["note", found.notes]];
    const hidden = found.suppressed + found.baseline;
    const repairable = data.findings.filter((finding) => finding.repairable).length;
    const facts = [
      counted(found.nodes, "node") + " and " + counted(found.islands, "island") + " checked.",
      hidden > 0 && counted(hidden, "further finding") + " suppressed or in the baseline.",
      repairable > 0 && repairable + " of " + data.findings.length + " can be repaired bit-exactly with ",
    ];
    return el("section", { class: "summary", "aria-label": "Summary" },
      el("p", { class: "tally" }, counts.map(([severity, count]) =>
        el("span", { class: "count " + (count ? severity : "none") }, el("b", {}, count.toLocaleString("en")), " ",
          count === 1 ? severity : severity + "s"))),
      el("p", {}, facts.filter(Boolean).join(" "), repairable > 0 && el("code", {}, "fuseguard repair"),
        repairable > 0 && "."),
      troubles(),
      table("Findings by target", ["target", "ExecuTorch", "errors", "warnings", "notes", "clusters refused"],
        combined(data.targets, (target) => [
          target.spec, target.accelerator, target.errors, target.warnings, target.notes, target.refused,
        ]).map(([target, ...more]) => [
          el("b", {}, target.accelerator !== "tosa" ? target.accelerator + " (" + target.spec + ")" : target.spec),
          [target, ...more].map((one) => one.executorch + (one.executorch_measured ? "" : " (not measured)")).join(", "),
          count(target.errors, "error"), count(target.warnings, "warning"), count(target.notes, "note"),
          count(target.refused, ""),
        ])),
      data.files.length > 1 && table("Files", ["file", "nodes", "islands", "findings"],
        data.files.map((file) => [file.file, file.nodes, file.islands, file.findings])));
  }

  // Neighbours of which ``of`` says the same, as one list each: releases that differ in nothing are one row.
  function combined(items, of) {
    const lists = [];
    let before = null;
    for (const item of items) {
      const key = JSON.stringify(of(item));
      if (key === before) lists[lists.length - 1].push(item);
      else lists.push([item]);
      before = key;
    }
    return lists;
  }

  function count(value, severity) {
    return el("span", { class: value ? "figure " + severity : "figure muted" }, value.toLocaleString("en"));
  }

  function troubles() {
    const told = [];
    for (const file of data.files) {
      if (file.error) told.push(["error", file.error]);
      for (const failure of file.failures) {
        told.push(["error", "rule " + failure.code + " failed" + (failure.graph ? " in " + failure.graph : "") + ": " +
          failure.error + ". What it would have found is missing."]);
      }
      for (const notice of file.notices) told.push(["note", notice]);
    }
    return told.length > 0 && el("ul", { class: "troubles" }, told.map(([severity, text]) =>
      el("li", {}, badge(severity, severity === "note" ? "notice" : severity), " ", text)));
  }

  // --- filters -----------------------------------------------------------------------------------------------

  const shownCount = el("p", { class: "muted shown", role: "status", "aria-live": "polite" });
  const search = el("input", {
    type: "search", id: "search", placeholder: "Search module, file, op, message", "aria-label": "Search findings",
    input: () => { filter.text = search.value.trim().toLowerCase(); show(); },
  });
  const ruleChoice = choice("Rule", "rule", [...new Set(data.groups.map((group) => group.code))].sort());
  const fileChoice = choice("File", "file", data.files.map((file, index) => [String(index), file.file]));
  const severityBoxes = SEVERITIES.map((severity) => el("input", {
    type: "checkbox", id: "severity-" + severity, checked: true,
    change: (event) => {
      if (event.target.checked) filter.severities.add(severity);
      else filter.severities.delete(severity);
      show();
    },
  }));

  function choice(label, key, values) {
    const select = el("select", { id: "filter-" + key, "aria-label": label, change: () => { filter[key] = select.value; show(); } },
      el("option", { value: "" }, label + ": all"),
      values.map((value) => Array.isArray(value) ? el("option", { value: value[0] }, value[1])
        : el("option", { value }, value)));
    return select;
  }

  function filters() {
    const counts = [data.summary.errors, data.summary.warnings, data.summary.notes];
    return el("form", { class: "filters", role: "search", submit: (event) => event.preventDefault() },
      search, ruleChoice, data.files.length > 1 && fileChoice,
      el("fieldset", {}, el("legend", { class: "hidden" }, "Severity"),
        SEVERITIES.map((severity, index) => el("label", { class: "chip " + severity }, severityBoxes[index], " ",
          severity + "s ", el("span", { class: "muted" }, counts[index])))),
      el("button", { type: "button", id: "expand", click: expandOrCollapse }, "Open all"),
      shownCount);
  }

  function resetFilters() {
    filter.text = search.value = "";
    filter.rule = ruleChoice.value = "";
    filter.file = fileChoice.value = "";
    filter.severities = new Set(SEVERITIES);
    severityBoxes.forEach((checkbox) => { checkbox.checked = true; });
  }

  function fits(index) {
    const finding = data.findings[index], group = data.groups[finding.group];
    return filter.severities.has(group.severity) && (!filter.rule || group.code === filter.rule) &&
      (!filter.file || String(finding.file) === filter.file) && (!filter.text || text(index).includes(filter.text));
  }

  function text(index) {
    if (searched[index] === undefined) {
      const finding = data.findings[index], group = data.groups[finding.group];
      const source = finding.source || { file: "", code: "" };
      searched[index] = [group.code, group.name, group.effect, finding.message, finding.module, finding.module_type,
        finding.place, source.file, source.code, finding.island, finding.graph, data.files[finding.file].file,
        ...finding.ops].join(" ").toLowerCase();
    }
    return searched[index];
  }

  // --- findings by rule and cause ----------------------------------------------------------------------------

  const sections = data.groups.map((group, number) => groupSection(group, number));

  function groupSection(group, number) {
    const list = el("div", { class: "rows" });
    const heading = el("span", { class: "muted" });
    const more = el("button", { type: "button", class: "more", click: () => { limits[number] += 500; show(); } });
    const id = "group-" + number;
    const section = el("section", { class: "group " + group.severity, "aria-labelledby": id },
      el("h2", { id }, badge(group.severity), " ", el("span", { class: "code" }, group.code), " ", group.name, " ", heading),
      el("p", { class: "effect" }, data.targets.length > 1 && "Worst effect: ", el("b", {}, group.effect.replace("_", " ")), ": " + group.effect_meaning + "."),
      el("div", { class: "remedy" }, el("b", {}, "Remedy. "), group.remedy),
      background(group),
      list, more);
    return { section, list, heading, more };
  }

  function background(group) {
    const rule = data.rules[group.code];
    if (!rule) return null;
    const details = el("details", { class: "why" }, el("summary", {}, "Why, and effect by release"));
    details.addEventListener("toggle", () => {
      if (!details.open || details.children.length > 1) return;
      details.append(el("p", {}, rule.summary), el("p", {}, rule.why),
        table("Effect by release of " + group.code, ["case", "ExecuTorch", "profile", "effect", "evidence", "where in the backend"],
          rule.effects.map((row) => [row.case === "*" ? "any" : row.case, row.releases === "*" ? "all" : row.releases, row.profile, badge(row.severity, row.effect.replace("_", " ")), graded(row), row.reference])));
    });
    return details;
  }

  function graded(row) {
    const where = row.measured_on.length ? " on " + row.measured_on.join(", ") : "";
    const later = row.announced_from.length ? ", announced to change from " + row.announced_from.join(", ") : "";
    return [badge("evidence " + row.evidence, row.evidence), where + later];
  }

  function row(index) {
    if (rows.has(index)) return rows.get(index);
    const finding = data.findings[index], group = data.groups[finding.group];
    const details = el("details", { class: "finding " + group.severity, id: "finding-" + finding.id },
      el("summary", {},
        el("span", { class: "where" }, breakable(finding.module) || finding.place || finding.island || data.files[finding.file].file),
        el("span", { class: "ops" }, finding.ops.join(" \u2192 ") || data.files[finding.file].file),
        el("span", { class: "worst" }, worst(finding)),
        el("span", { class: "fix" }, finding.repairable ? "repairable" : finding.unsafe_repair ? "inexact repair" : "")));
    details.addEventListener("toggle", () => {
      if (!details.open) return;
      if (details.children.length === 1) details.append(body(finding, group, index));
      if (data.findings.length === 1) return; // it opens by itself, and an address would make the browser go to it
      try {
        history.replaceState(null, "", "#finding-" + finding.id);
      } catch {
        // A page in a frame has no address of its own.
      }
    });
    rows.set(index, details);
    return details;
  }

  function worst(finding) {
    if (finding.bound_steps !== null) return "\u2264 " + number(finding.bound_steps) + (finding.bound_steps === 1 ? " step" : " steps");
    return finding.bound_value !== null ? "\u2264 " + number(finding.bound_value) : "";
  }

  function body(finding, group, index) {
    const several = data.files.length > 1;
    return el("div", { class: "body" },
      el("p", { class: "message" }, finding.message),
      // The remedy itself stands once, above the findings of its rule.
      repair(finding) && el("div", { class: "remedy" }, repair(finding)),
      finding.caused_by && el("p", { class: "muted" }, "This follows from the " + finding.caused_by + " finding at the same place."),
      source(finding),
      finding.range && fuseguard.rangePlot(finding.range),
      outcomes(finding, group),
      drawings(finding),
      el("dl", { class: "facts" }, facts(finding, several)),
      el("p", { class: "muted links" }, graph && graph.places.has(index) &&
        el("button", { type: "button", class: "in-graph", click: () => inGraph(index) }, "Show in the graph"),
        el("a", { href: "#finding-" + finding.id }, "Link to this finding")));
  }

  function repair(finding) {
    if (finding.repairable) {
      return el("p", {}, el("b", {}, "Repair. "), el("code", {}, "fuseguard repair"), " makes this exact change: ",
        finding.edits.join("; "), ".");
    }
    if (finding.unsafe_repair) {
      return el("p", {}, el("b", {}, "Repair. "), el("code", {}, "fuseguard repair --unsafe-repairs"),
        " makes an inexact one: ", finding.edits.join("; "), ".");
    }
    return null;
  }

  // A path of modules breaks after a dot: its end says most, and must not be cut off.
  function breakable(path) {
    return path && path.split(".").map((part, number) => number ? [".", el("wbr"), part] : part);
  }

  function source(finding) {
    const told = finding.source;
    if (!told) return null;
    if (!finding.installed) return excerpt(finding, told, "");
    // The line of the model that is installed, and below it the user's own, which has a place and an excerpt.
    const called = finding.called_from;
    return [
      lined([[told.line, told.code.trim()]], told.line, finding.installed, told.function),
      called && excerpt(finding, called, "called from "),
    ];
  }

  function excerpt(finding, told, before) {
    const place = before + (finding.place || told.file + ":" + told.line);
    if (!finding.excerpt) return lined([[told.line, told.code.trim()]], told.line, place, told.function);
    const lines = finding.excerpt.lines.map((line, offset) => [finding.excerpt.first + offset, line]);
    return lined(lines, finding.excerpt.line, place, told.function);
  }

  function lined(all, meant, place, inside) {
    const lines = all.length === 1 && !all[0][1] ? [] : all;
    return el("figure", { class: "source" },
      el("figcaption", {}, place, inside && ", in " + inside),
      lines.length > 0 && el("pre", { tabindex: "0" }, lines.map(([place, line]) =>
        el("span", { class: place === meant ? "line meant" : "line" },
          el("span", { class: "number" }, String(place).padStart(5) + "  "), line + "\n"))));
  }

  function outcomes(finding, group) {
    if (!finding.evidence && finding.outcomes.length === 0) return null;
    const told = finding.outcomes.length ? finding.outcomes : [{
      target: data.targets[0].name, effect: group.effect, severity: group.severity, evidence: finding.evidence,
      evidence_note: finding.evidence_note, evidence_release: finding.evidence_release, refused: finding.refused,
      bound_steps: finding.bound_steps, bound_value: finding.bound_value,
    }];
    const release = ", ExecuTorch ";
    const rows = combined(told, (one) => [
      one.target.split(release)[0], one.effect, one.evidence, one.evidence === "inferred" && one.evidence_release,
      one.evidence_note, one.bound_steps, one.bound_value, one.refused,
    ]);
    const heads = ["target", "ExecuTorch", "effect", "evidence", "worst error", "guard"];
    return table("Effect by target and release", heads, rows.map(([one, ...more]) => [
      one.target.split(release)[0],
      [one, ...more].map((other) => other.target.split(release)[1]).join(", "),
      one.effect ? badge(one.severity, one.effect.replace("_", " ")) : el("span", { class: "muted" }, "nothing found"),
      one.evidence ? [badge("evidence " + one.evidence.replace(" ", "-"), one.evidence),
        one.evidence === "inferred" && one.evidence_release ? " from " + one.evidence_release : "",
        one.evidence_note ? " " + one.evidence_note : ""] : "",
      one.effect ? worst(one) : "",
      one.refused ? "refused" : "",
    ]));
  }

  function drawings(finding) {
    if (finding.undrawn) {
      return el("p", { class: "muted" }, "Not drawn: the report has too many findings to draw all of them. ",
        "The first finding of each group is drawn. To draw this one, check again with --select and its rule.");
    }
    if (!finding.drawing) return null;
    const { before, after, left_out: leftOut } = finding.drawing;
    const figures = [drawing(before, "The program")];
    if (after) figures.push(drawing(after, finding.repairable ? "After the repair" : "After the inexact repair"));
    return el("div", {},
      el("div", { class: "drawings" }, figures),
      el("p", { class: "legend muted" },
        el("span", { class: "key offending" }), "offending",
        before.cluster.length > 0 && [el("span", { class: "key outline" }), "refused together"],
        after && [el("span", { class: "key added" }), "changed by the repair"],
        leftOut > 0 && counted(leftOut, "further node") + " of the cluster not drawn"));
  }

  function drawing(told, label) {
    return el("figure", {}, el("figcaption", {}, label),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
        fuseguard.picture(told, data.shapes, label)));
  }

  function facts(finding, several) {
    const pairs = [
      several && ["file", data.files[finding.file].file],
      ["module", finding.module && finding.module + (finding.module_type ? " (" + finding.module_type + ")" : "")],
      ["graph", finding.graph],
      ["island", finding.island],
      ...finding.qparams.map((one) => [one.label, one.value]),
      ...finding.details.map((one) => [one.label, one.value]),
      ["fingerprint", finding.fingerprint],
    ];
    return pairs.filter((pair) => pair && pair[1]).map(([label, value]) => [el("dt", {}, label), el("dd", {}, value)]);
  }

  // --- what is shown -----------------------------------------------------------------------------------------

  const nothing = el("p", { class: "nothing" });

  function show() {
    let total = 0;
    sections.forEach((one, number) => {
      const matching = members[number].filter(fits);
      total += matching.length;
      one.section.hidden = matching.length === 0;
      one.heading.textContent = counted(matching.length, "finding");
      one.list.replaceChildren(...matching.slice(0, limits[number]).map(row));
      const left = matching.length - limits[number];
      one.more.hidden = left <= 0;
      one.more.textContent = "Show " + Math.min(left, 500) + " more of " + left.toLocaleString("en");
    });
    const all = data.findings.length;
    shownCount.textContent = total === all ? counted(all, "finding") : total.toLocaleString("en") + " of " + counted(all, "finding");
    nothing.hidden = total > 0;
    nothing.textContent = all ? "No finding matches the filter." : "Nothing was found.";
  }

  // Opens what a link names, whatever is filtered or not yet shown.
  function follow() {
    let anchor = "";
    try {
      anchor = decodeURIComponent(location.hash.slice(1));
    } catch {
      return; // not what this page writes
    }
    const [, number, node] = anchor.match(/^graph(?:-(\d+)\/([^]*))?$/) || [];
    if (graph && anchor.startsWith("graph")) {
      turnTo("graph");
      graph.show(number < data.whole.graphs.length ? Number(number) : 0, node || undefined);
    }
    const index = byAnchor.get(anchor);
    if (index !== undefined) toFinding(index);
  }

  function toFinding(index) {
    turnTo("findings");
    if (!fits(index)) resetFilters();
    const group = data.findings[index].group;
    limits[group] = Math.max(limits[group], members[group].indexOf(index) + 1);
    show();
    const element = row(index);
    element.open = true;
    reach(element);
    // At the end of loading, a browser goes to the named element itself, and takes the focus away.
    if (document.readyState !== "complete") window.addEventListener("load", () => setTimeout(() => reach(element)));
  }

  function reach(element) {
    element.scrollIntoView({ block: "start" });
    element.firstElementChild.focus({ preventScroll: true });
  }

  function visible() {
    return [...document.querySelectorAll(".finding")].filter((element) => !element.closest("[hidden]"));
  }

  function expandOrCollapse() {
    const shown = visible().slice(0, EXPANDED);
    const open = shown.some((element) => !element.open);
    shown.forEach((element) => { element.open = open; });
    document.getElementById("expand").textContent = open ? "Close all" : "Open all";
  }

  // --- the list of findings and the graph --------------------------------------------------------------------

  const graph = data.whole.graphs.length > 0 ? fuseguard.graphView(toFinding) : null;
  const panels = {
    findings: el("div", { id: "panel-findings", role: "tabpanel", "aria-labelledby": "tab-findings" },
      data.findings.length > 0 && filters(), nothing, sections.map((one) => one.section)),
    graph: graph && el("div", { id: "panel-graph", role: "tabpanel", "aria-labelledby": "tab-graph", hidden: true }),
  };
  const tabs = Object.fromEntries([["findings", "Findings"], ["graph", "Graph"]].map(([id, label]) => [id, el("button", {
    type: "button", role: "tab", id: "tab-" + id, "aria-controls": "panel-" + id, "aria-selected": String(id === "findings"),
    tabindex: id === "findings" ? "0" : "-1", click: () => turnTo(id),
    keydown: (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      turnTo(id === "graph" ? "findings" : "graph");
      tabs[id === "graph" ? "findings" : "graph"].focus();
    },
  }, label)]));

  function turnTo(id) {
    if (!graph) return;
    for (const [name, panel] of Object.entries(panels)) {
      panel.hidden = name !== id;
      tabs[name].setAttribute("aria-selected", String(name === id));
      tabs[name].tabIndex = name === id ? 0 : -1;
    }
    document.documentElement.dataset.panel = id;
    if (id === "graph" && !graph.element.isConnected) { // it is made when it is first looked at
      panels.graph.append(graph.element);
      graph.show(0);
    }
  }

  function inGraph(index) {
    const [number, node] = graph.places.get(index);
    turnTo("graph");
    graph.show(number, node);
    graph.element.scrollIntoView({ block: "start" });
    graph.focus();
  }

  // --- keys --------------------------------------------------------------------------------------------------

  const KEYS = [
    ["/", "search"], ["j", "next finding"], ["k", "previous finding"], ["Enter", "open or close it"],
    ["o", "open or close all that are shown, up to " + EXPANDED], ["g", "findings or graph"], ["t", "light or dark"],
    ["Esc", "leave the search"], ["?", "these keys"],
    ["\u2191 \u2193 \u2190 \u2192", "in the graph: along edges and to neighbours; with Shift, move the picture"],
    ["+ \u2212 0", "in the graph: zoom in, zoom out, show all"], ["n p", "in the graph: next and previous finding"],
  ];
  const help = el("dialog", { "aria-label": "Keys" }, el("h2", {}, "Keys"),
    el("dl", { class: "facts" }, KEYS.map(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)])),
    el("form", { method: "dialog" }, el("button", {}, "Close")));

  function move(step) {
    const summaries = visible().map((element) => element.firstElementChild);
    const now = summaries.indexOf(document.activeElement);
    const next = summaries[now < 0 ? (step > 0 ? 0 : summaries.length - 1) : now + step];
    if (next) {
      next.focus();
      next.scrollIntoView({ block: "nearest" });
    }
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const inGraphNow = graph !== null && !panels.graph.hidden;
    const actions = {
      "/": () => (inGraphNow ? graph.search() : search.focus()), t: fuseguard.nextTheme, "?": () => help.showModal(),
      g: () => turnTo(inGraphNow ? "findings" : "graph"),
      ...(inGraphNow ? {} : { j: () => move(1), k: () => move(-1), o: expandOrCollapse }),
    };
    if (actions[event.key] && !help.open) {
      event.preventDefault();
      actions[event.key]();
    }
  });

  document.getElementById("app").append(header(), el("main", {}, summary(),
    graph && el("div", { class: "tabs", role: "tablist", "aria-label": "What is shown" }, Object.values(tabs)),
    panels.findings, panels.graph), help);
  fuseguard.startTheme();
  show();
  if (data.findings.length === 1) row(0).open = true; // whoever opens the page has nothing to choose from
  follow();
  window.addEventListener("hashchange", follow);
  document.documentElement.dataset.ready = "true";
})();
