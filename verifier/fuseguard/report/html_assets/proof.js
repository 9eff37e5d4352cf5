// The page of a proof: the verdict, the places that are wrong, and the error of every quantized value.
"use strict";

(function () {
  const { data, el, svg, counted, number, badge, table } = fuseguard;
  const values = fuseguard.valuesOfProof();
  const MOST_CODES = 8; // of a counterexample
  const of = fuseguard.severityOf;

  function header() {
    return el("header", { class: "top" },
      el("div", {},
        el("h1", {}, data.file || "program"),
        el("p", { class: "muted" }, "fuseguard " + data.tool.version + ", " + data.target + (data.guarded ? ", guarded" : ""))),
      el("div", { class: "buttons" }, fuseguard.themeButton));
  }

  const located = data.engine_locations.flatMap((one) => one.ops.map((op) => [one.delegate, op]));

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
        (data.max_error_steps === null ? "" : ", " + number(data.max_error_steps) + " step" +
          (data.max_error_steps === 1 ? "" : "s") + " of the output") +
        (data.rounding_ties > 0 && data.rounding_ties === data.mismatches ? " (at a rounding tie, where either code is right)" : "")],
      ran && ["SQNR", number(data.sqnr_db) + " dB"],
      data.cells_summary && ["values", data.cells_summary],
      data.cross_check && ["end to end", data.cross_check],
      ...data.explained_by.map((one) => ["explained", one.name + ": " + counted(one.elements, "element")]),
      ["delegated", counted(data.delegated_ops, "op") + " in " + counted(data.delegates, "delegate")],
      ["on the CPU", data.cpu_ops.length ? [...new Set(data.cpu_ops)].join(", ") : "nothing"],
      data.engine !== "tosa" && ["engine", data.engine],
      ...data.notes.map((text) => ["note", text]),
      ...data.exceeded.map((text) => ["limit", text]),
    ];
    return el("section", { class: "summary", "aria-label": "Summary" },
      el("p", { class: "tally" }, el("span", { class: "count " + of(data.outcome) }, el("b", {}, data.headline.replace("_", " ")))),
      el("p", {}, data.outcome_meaning + "."),
      el("dl", { class: "facts" }, rows.filter(Boolean).map(([label, value]) => [el("dt", {}, label), el("dd", {}, value)])),
      data.input_sets.length > 1 && table("Input sets", ["inputs", "outcome", "mismatches", "SQNR (dB)"],
        data.input_sets.map((one) => [one.inputs, badge(of(one.outcome), one.outcome), one.mismatches, number(one.sqnr_db)])),
      data.engine_differences.length > 0 && table("Outputs of delegates that are not the reference model's",
        ["delegate", "output", "differing", "largest (codes)", "at", "reference model", data.engine],
        data.engine_differences.map((one) => [one.delegate, one.tensor || one.output, one.differing + " of " + one.elements,
          number(one.largest), "[" + one.at.join(", ") + "]", number(one.expected), number(one.actual)])),
      data.engine_locations.map((one) => el("p", {}, "Where it begins: " + one.summary + ".")),
      located.length > 0 && table("TOSA operators whose result is not the reference model's, although their operands are",
        ["delegate", "op", "tensor", "operands", "differing", "at", "reference model", data.engine, "in the program"],
        located.map(([delegate, op]) => [delegate, op.kinds.join(" \u2192 "), op.tensor, op.operands.join(", "),
          op.differing + " of " + op.elements, "[" + op.at.join(", ") + "]", number(op.expected), number(op.actual),
          op.source || op.value])),
      data.guard_lines.length > 0 && el("details", { class: "why" }, el("summary", {}, "What the guard refused"),
        el("ul", {}, data.guard_lines.map((line) => el("li", {}, line)))));
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

  const wrong = data.cells.filter((cell) => cell.status === "wrong" && (cell.certain || data.outcome === "wrong"));

  function places() {
    if (wrong.length === 0) {
      const text = data.cells.length === 0 ? "The values were not compared one by one."
        : data.outcome === "wrong" && data.engine_differences.length > 0
          ? "No value is wrong in the reference model: the engine " + data.engine + " differs from it."
        : data.outcome === "wrong" ? "No value is wrong: the fault is in control flow, or a value was not found." : "No value is wrong.";
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
        ["largest error", number(cell.steps) + " steps, where " + number(cell.bound) + " are allowed"],
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

  // --- for every input ---------------------------------------------------------------------------------------

  const METHODS = { proved: "good", refuted: "error", sampled: "note" };

  function everyInput() {
    const found = data.all_inputs;
    if (!found) return null;
    const order = ["refuted", "sampled", "proved"];
    const cells = [...found.cells].sort((left, right) => order.indexOf(left.status) - order.indexOf(right.status));
    const proved = cells.filter((cell) => cell.status === "proved").length;
    return el("section", { class: "group", "aria-labelledby": "every-input" },
      el("h2", { id: "every-input" }, "For every input: " + proved + " of " + counted(cells.length, "cell") + " proved"),
      el("p", { class: "muted" }, "A cell that is proved is right for every code of its operands."),
      table("Cells for every input", ["value", "ops", "status", "compared", "how, or why not all", "counterexample"],
        cells.map((cell) => [
          el("span", { class: "mono" }, cell.value), el("span", { class: "mono muted" }, cell.ops.join(" \u2192 ")),
          badge(METHODS[cell.status] || "none", cell.status), cell.count.toLocaleString("en"), cell.reason || cell.method,
          cell.counterexample ? counterexample(cell.counterexample) : "",
        ])));
  }

  function counterexample(one) {
    const codes = one.codes.slice(0, MOST_CODES).map((code) => code.operand + "[" + code.at.join(", ") + "] = " + code.code);
    const more = one.codes.length > MOST_CODES ? " and " + (one.codes.length - MOST_CODES) + " more" : "";
    return codes.join(", ") + more + ": expected " + number(one.expected) + ", the lowering has " + number(one.actual);
  }

  document.getElementById("app").append(header(), el("main", {}, summary(), npu(), places(), values.element, everyInput()));
  fuseguard.startTheme();
  values.show();
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === values.search) {
      if (event.key === "Escape") values.search.blur();
    } else if (event.key === "t") {
      fuseguard.nextTheme();
    } else if (event.key === "/" && values.search.isConnected) {
      event.preventDefault();
      values.search.focus();
    }
  });
  document.documentElement.dataset.ready = "true";
})();
