// The page of a proof: the verdict, the places that are wrong, and the error of every quantized value.
"use strict";

(function () {
  const { data, el, svg, counted, number, badge, table } = fuseguard;
  const SHOWN = 200; // values before one asks for more
  const SEVERITY = {
    exact: "good", bounded: "note", not_judged: "note", tie: "good", saturated: "note", rounded: "note", "not found": "none",
  };
  const MOST_DB = 80; // a bar of SQNR is full from here on

  const of = (status) => SEVERITY[status] || "error";
  const finite = (value) => typeof value === "number";

  function header() {
    return el("header", { class: "top" },
      el("div", {},
        el("h1", {}, data.file || "program"),
        el("p", { class: "muted" }, "fuseguard " + data.tool.version + ", " + data.target + (data.guarded ? ", guarded" : ""))),
      el("div", { class: "buttons" }, fuseguard.themeButton));
  }

  function summary() {
    const ran = ["exact", "bounded", "wrong"].includes(data.outcome);
    const rows = [
      ["inputs", data.inputs],
      data.calls > 1 && ["calls", String(data.calls)],
      data.differing.length > 0 && ["differs", data.differing.join(", ")],
      data.exception && ["exception", data.exception],
      ran && ["mismatches", data.mismatches.toLocaleString("en") + " of " + counted(data.elements, "element") +
        (data.rounding_ties ? ", " + data.rounding_ties + " of them rounding ties" : "")],
      ran && ["max error", number(data.max_error) +
        (data.max_error_steps === null ? "" : ", " + number(data.max_error_steps) + " steps of the output")],
      ran && ["SQNR", number(data.sqnr_db) + " dB"],
      ...data.explained_by.map((one) => ["explained", one.name + ": " + counted(one.elements, "element")]),
      ["delegated", counted(data.delegated_ops, "op") + " in " + counted(data.delegates, "delegate")],
      ["on the CPU", data.cpu_ops.length ? [...new Set(data.cpu_ops)].join(", ") : "nothing"],
      ...data.exceeded.map((text) => ["limit", text]),
    ];
    return el("section", { class: "summary", "aria-label": "Summary" },
      el("p", { class: "tally" }, el("span", { class: "count " + of(data.outcome) }, el("b", {}, data.outcome.replace("_", " ")))),
      el("p", {}, data.outcome_meaning + "."),
      el("dl", { class: "facts" }, rows.filter(Boolean).map(([label, value]) => [el("dt", {}, label), el("dd", {}, value)])),
      data.input_sets.length > 1 && table("Input sets", ["inputs", "outcome", "mismatches", "SQNR (dB)"],
        data.input_sets.map((one) => [one.inputs, badge(of(one.outcome), one.outcome), one.mismatches, number(one.sqnr_db)])));
  }

  // --- Vela ------------------------------------------------------------------------------------------------

  const PLACES = { NPU: "NPU", fused: "NPU, in another op", "left out": "nowhere: Vela leaves it out" };

  function npu() {
    const report = data.npu;
    if (!report) return null;
    const faults = report.delegates.filter((one) => one.fault);
    const rows = report.delegates.flatMap((one) => one.ops.map((op) => [
      String(one.number), op.kind, op.tensor, op.place === "left out" ? badge("error", PLACES[op.place]) : PLACES[op.place],
      op.place === "NPU" ? op.cycles.toLocaleString("en") : ""]));
    return el("section", { class: "group", "aria-labelledby": "npu" },
      el("h2", { id: "npu" }, "On " + report.accelerator + ", compiled by Vela " + report.vela),
      el("p", {}, faults.length ? faults.length + " of " + counted(report.delegates.length, "delegate") + " cannot be compiled."
        : report.cycles.toLocaleString("en") + " cycles, " + number(Math.round(report.sram_bytes / 10.24) / 100) + " KiB of SRAM at the peak."),
      faults.map((one) => el("pre", { class: "message" }, "delegate " + one.number + ": " + one.message)),
      el("p", { class: "muted" }, report.note),
      rows.length > 0 && table("What runs where", ["delegate", "op", "tensor", "runs on", "cycles"], rows));
  }

  // --- the places that are wrong -----------------------------------------------------------------------------

  const wrong = data.cells.filter((cell) => cell.status === "wrong");

  function places() {
    if (wrong.length === 0) {
      const text = data.cells.length === 0 ? "No value was looked at on its own."
        : data.outcome === "wrong" ? "No single op is wrong: what each may round adds up to the error." : "No value is wrong.";
      return el("p", { class: "muted" }, text);
    }
    return el("section", { class: "group error", "aria-labelledby": "wrong" },
      el("h2", { id: "wrong" }, "Wrong in " + counted(wrong.length, "place") + ", the earliest first"),
      el("div", { class: "rows" }, wrong.map(place)));
  }

  function place(cell, index) {
    const details = el("details", { class: "finding error", id: "cell-" + index },
      el("summary", {},
        el("span", { class: "where" }, cell.ops.join(" \u2192 ") || "the value itself"),
        el("span", { class: "ops" }, cell.module || cell.source || cell.value),
        el("span", { class: "worst" }, number(cell.steps) + " steps"),
        el("span", { class: "fix" }, cell.findings.join(", "))));
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(body(cell));
    });
    details.open = index === 0;
    return details;
  }

  function body(cell) {
    const at = "[" + cell.at.join(", ") + "]";
    return el("div", { class: "body" },
      el("p", { class: "message" }, "Element " + at + " of " + cell.value + ": expected " + number(cell.expected) +
        ", the lowering has " + number(cell.actual) + "."),
      codes(cell),
      cell.errors.length > 0 && histogram(cell),
      el("dl", { class: "facts" }, [
        ["rule", cell.findings.join(", ") || "no rule knows this; please report it"],
        ["source", cell.source], ["module", cell.module],
        ["differing", cell.differing.toLocaleString("en") + " of " + counted(cell.elements, "element")],
        ["SQNR", number(cell.sqnr_db) + " dB"],
        ["tensor", cell.tensor === cell.value ? "" : cell.tensor], ["joined", cell.joined.join(", ")],
      ].filter((pair) => pair[1]).map(([label, value]) => [el("dt", {}, label), el("dd", {}, value)])));
  }

  // The witness: what the ops were given at the worst element, and what comes out.
  function codes(cell) {
    const rows = Object.entries(cell.witness).map(([name, code]) => ["given", name, String(code)]);
    rows.push(["expected", cell.value, el("b", {}, number(cell.expected))]);
    rows.push(["the lowering has", cell.tensor || cell.value, el("b", { class: "figure error" }, number(cell.actual))]);
    return table("Codes at the worst element", ["which", "value", "code"], rows);
  }

  function histogram(cell) {
    const width = 560, left = 8, bottom = 92, most = Math.max(...cell.errors.map(([, count]) => count));
    const step = (width - 2 * left) / cell.errors.length;
    const first = cell.errors[0][0], last = cell.errors[cell.errors.length - 1][0];
    const words = "Differences of the lowering from the program, in steps, from " + number(first) + " to " + number(last) +
      "; the largest bin has " + counted(most, "element") + ".";
    const root = svg("svg", { class: "plot", role: "img", "aria-label": words, width, height: 112, viewBox: "0 0 " + width + " 112" });
    cell.errors.forEach(([error, count], index) => {
      const height = count ? Math.max(2, count / most * 80) : 0;
      root.append(svg("rect", { x: left + index * step + 1, y: bottom - height, width: Math.max(step - 2, 1), height, class: "beyond" },
        svg("title", {}, counted(count, "element") + " from " + number(error) + " steps on")));
    });
    root.append(svg("line", { x1: left, x2: width - left, y1: bottom, y2: bottom, class: "axis" }),
      svg("text", { x: left, y: 107, class: "fact" }, number(first) + " steps"),
      svg("text", { x: width - left, y: 107, "text-anchor": "end", class: "fact" }, number(last) + " steps"));
    return el("figure", { class: "range" }, root, el("figcaption", {}, words));
  }

  // --- every value -------------------------------------------------------------------------------------------

  let limit = SHOWN;
  const filter = { text: "", differing: false };
  const body_ = el("tbody");
  const more = el("button", { type: "button", class: "more", click: () => { limit += 1000; show(); } });
  const shown = el("p", { class: "muted shown", role: "status", "aria-live": "polite" });
  const search = el("input", {
    type: "search", id: "search", placeholder: "Search value, op, module", "aria-label": "Search values",
    input: () => { filter.text = search.value.trim().toLowerCase(); show(); },
  });
  const differing = el("input", {
    type: "checkbox", id: "differing", change: () => { filter.differing = differing.checked; show(); },
  });
  const largest = Math.max(1, ...data.cells.map((cell) => (finite(cell.steps) ? cell.steps : 0)));

  function values() {
    if (data.cells.length === 0) return null;
    return el("section", { class: "group", "aria-labelledby": "values" },
      el("h2", { id: "values" }, "Error by value"),
      el("p", { class: "muted" }, "Each value is judged on the lowering's own operands, so that an error is shown where it is made."),
      el("form", { class: "filters inside", role: "search", submit: (event) => event.preventDefault() },
        search, el("label", { class: "chip" }, differing, " only values that differ"), shown),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of values" },
        el("table", { class: "values" },
          el("thead", {}, el("tr", {}, ["value", "ops", "status", "largest error (steps)", "SQNR (dB)"]
            .map((heading) => el("th", { scope: "col" }, heading)))), body_)),
      more);
  }

  function show() {
    const chosen = data.cells.filter((cell) => (!filter.differing || cell.differing > 0) && (!filter.text ||
      [cell.value, cell.module, cell.source, cell.status, ...cell.ops].join(" ").toLowerCase().includes(filter.text)));
    body_.replaceChildren(...chosen.slice(0, limit).map((cell) => el("tr", {},
      el("td", { class: "mono" }, cell.value),
      el("td", { class: "mono muted" }, cell.ops.join(" \u2192 ")),
      el("td", {}, badge(of(cell.status), cell.status)),
      el("td", {}, cell.status === "not found" ? "" : bar(share(cell.steps), number(cell.steps), cell.status === "wrong" ? "beyond" : "codes")),
      el("td", {}, cell.status === "not found" ? "" : bar(ratio(cell.sqnr_db), number(cell.sqnr_db), "allowed")))));
    more.hidden = chosen.length <= limit;
    more.textContent = "Show more of " + (chosen.length - limit).toLocaleString("en");
    shown.textContent = chosen.length.toLocaleString("en") + " of " + counted(data.cells.length, "value");
  }

  // Errors span orders of magnitude: one step is to be seen beside a hundred.
  function share(steps) {
    if (!finite(steps)) return steps === "inf" ? 1 : 0;
    return Math.log2(1 + steps) / Math.log2(1 + largest);
  }

  function ratio(db) {
    if (!finite(db)) return db === "inf" ? 1 : 0;
    return Math.min(1, Math.max(0, db / MOST_DB));
  }

  function bar(part, text, kind) {
    const width = 120;
    return el("span", { class: "bar" },
      svg("svg", { width, height: 12, "aria-hidden": "true", viewBox: "0 0 " + width + " 12" },
        part > 0 && svg("rect", { x: 0.5, y: 0.5, width: Math.max(2, part * (width - 1)), height: 11, class: kind })),
      el("span", { class: "figure" }, text));
  }

  document.getElementById("app").append(header(), el("main", {}, summary(), npu(), places(), values()));
  fuseguard.startTheme();
  show();
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === search) {
      if (event.key === "Escape") search.blur();
    } else if (event.key === "t") {
      fuseguard.nextTheme();
    } else if (event.key === "/" && search.isConnected) {
      event.preventDefault();
      search.focus();
    }
  });
  document.documentElement.dataset.ready = "true";
})();
