// The error of every quantized value of a proof: a chart in the program's order, and a table that is searched.
"use strict";

(function () {
  const { data, el, svg, counted, number, badge } = fuseguard;
  const SHOWN = 200; // values before one asks for more
  const MOST_DB = 80; // a bar of SQNR is full from here on
  const MOST_BARS = 400; // of the chart; more values share a bar
  const SEVERITY = {
    exact: "good", bounded: "note", not_judged: "note", tie: "good", saturated: "note", rounded: "note", "not found": "none",
  };

  fuseguard.severityOf = (status) => SEVERITY[status] || "error";
  const of = fuseguard.severityOf, finite = (value) => typeof value === "number";
  const largest = Math.max(1, ...data.cells.map((cell) => (finite(cell.steps) ? cell.steps : 0)));
  const fromFloat = data.cells.some((cell) => cell.float_node);

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

  const colour = (cell) => (cell.status === "wrong" ? "beyond" : "codes");

  // The largest error and the smallest SQNR of each value, the first value on the left.
  function chart(onClick) {
    const judged = data.cells.filter((cell) => cell.status !== "not found");
    if (judged.length < 2) return null;
    const share_ = Math.ceil(judged.length / MOST_BARS), bars = [];
    for (let from = 0; from < judged.length; from += share_) {
      const some = judged.slice(from, from + share_);
      bars.push({
        some, cell: some.reduce((worst, cell) => (share(cell.steps) > share(worst.steps) ? cell : worst)),
        ratio: Math.min(...some.map((cell) => ratio(cell.sqnr_db))),
      });
    }
    const width = 1000, left = 96, step = (width - left - 8) / bars.length, gap = Math.min(2, step / 5);
    const wrong = judged.filter((cell) => cell.status === "wrong").length;
    const words = "Error and SQNR of " + counted(judged.length, "value") + " in the program's order; the largest error is " +
      number(largest) + " steps, " + (wrong ? wrong + " of them are wrong." : "none of them is wrong.");
    const root = svg("svg", { class: "plot layers", role: "img", "aria-label": words, viewBox: "0 0 " + width + " 196" },
      svg("text", { x: left - 8, y: 20, "text-anchor": "end", class: "fact" }, number(largest) + " steps"),
      svg("text", { x: left - 8, y: 90, "text-anchor": "end", class: "fact" }, "0"),
      svg("text", { x: left - 8, y: 122, "text-anchor": "end", class: "fact" }, "\u2265 " + MOST_DB + " dB"),
      svg("text", { x: left - 8, y: 190, "text-anchor": "end", class: "fact" }, "0 dB"),
      svg("line", { x1: left, x2: width - 8, y1: 91, y2: 91, class: "axis" }),
      svg("line", { x1: left, x2: width - 8, y1: 191, y2: 191, class: "axis" }));
    bars.forEach(({ some, cell, ratio: part }, index) => {
      const x = left + index * step + gap / 2, wide = Math.max(step - gap, 0.8);
      const high = share(cell.steps) > 0 ? Math.max(2, share(cell.steps) * 78) : 0;
      const told = (some.length > 1 ? some.length + " values, the worst " : "") + cell.value + ": " + cell.status + ", " +
        number(cell.steps) + " steps, " + number(cell.sqnr_db) + " dB";
      root.append(svg("g", { class: "layer", click: () => onClick(cell.value) }, svg("title", {}, told),
        svg("rect", { x, y: 10, width: wide, height: 182, class: "hit" }),
        svg("rect", { x, y: 91 - high, width: wide, height: high, class: colour(cell) }),
        svg("rect", { x, y: 191 - part * 78, width: wide, height: part * 78, class: "allowed" })));
    });
    return el("figure", { class: "range" }, el("figcaption", {},
      "Largest error (above, logarithmic) and SQNR (below) of each value, in the program's order. Click a bar to find its row."),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Chart of values" }, root));
  }

  fuseguard.valuesOfProof = function valuesOfProof() {
    let limit = SHOWN;
    const filter = { text: "", status: "", differing: false };
    const rows = el("tbody");
    const more = el("button", { type: "button", class: "more", click: () => { limit += 1000; show(); } });
    const shown = el("p", { class: "muted shown", role: "status", "aria-live": "polite" });
    const search = el("input", {
      type: "search", id: "search", placeholder: "Search value, op, module", "aria-label": "Search values",
      input: () => { filter.text = search.value.trim().toLowerCase(); show(); },
    });
    const statuses = [...new Set(data.cells.map((cell) => cell.status))];
    const status = el("select", { id: "status", "aria-label": "Status", change: () => { filter.status = status.value; show(); } },
      el("option", { value: "" }, "Status: all"), statuses.map((one) => el("option", { value: one }, one)));
    const differing = el("input", {
      type: "checkbox", id: "differing", change: () => { filter.differing = differing.checked; show(); },
    });
    const headings = ["value", "ops", "status", "largest error (steps)", "allowed (steps)", "differing", "SQNR (dB)",
      ...(fromFloat ? ["SQNR to float (dB)", "eager to float (dB)"] : [])];
    const element = data.cells.length === 0 ? null : el("section", { class: "group", "aria-labelledby": "values" },
      el("h2", { id: "values" }, "Error by value"),
      el("p", { class: "muted" }, "Each value is judged on the lowering's own operands, so that an error is shown where it is made. " +
        "The SQNR is that of the whole program up to the value."),
      chart((value) => { search.value = value; filter.text = value.toLowerCase(); show(); search.focus(); }),
      el("form", { class: "filters inside", role: "search", submit: (event) => event.preventDefault() },
        search, status, el("label", { class: "chip" }, differing, " only values that differ"), shown),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of values" },
        el("table", { class: "values" },
          el("thead", {}, el("tr", {}, headings.map((heading) => el("th", { scope: "col" }, heading)))), rows)),
      more);

    function show() {
      const chosen = data.cells.filter((cell) => (!filter.differing || cell.differing > 0) &&
        (!filter.status || cell.status === filter.status) && (!filter.text ||
        [cell.value, cell.module, cell.source, cell.status, ...cell.ops].join(" ").toLowerCase().includes(filter.text)));
      rows.replaceChildren(...chosen.slice(0, limit).map(row));
      more.hidden = chosen.length <= limit;
      more.textContent = "Show more of " + (chosen.length - limit).toLocaleString("en");
      shown.textContent = chosen.length.toLocaleString("en") + " of " + counted(data.cells.length, "value");
    }

    function row(cell) {
      const unseen = cell.status === "not found";
      return el("tr", {},
        el("td", { class: "mono" }, cell.value),
        el("td", { class: "mono muted" }, cell.ops.join(" \u2192 ")),
        el("td", {}, badge(of(cell.status), cell.status)),
        el("td", {}, unseen ? "" : bar(share(cell.steps), number(cell.steps), colour(cell))),
        el("td", { class: "figure" }, unseen || !cell.bound ? "" : number(cell.bound)),
        el("td", { class: "figure" }, unseen ? "" : cell.differing.toLocaleString("en") + " of " + cell.elements.toLocaleString("en")),
        el("td", {}, unseen ? "" : bar(ratio(cell.sqnr_db), number(cell.sqnr_db), "allowed")),
        fromFloat && [cell.float_sqnr_db, cell.quantization_sqnr_db].map((db) => el("td", { class: "figure" }, db === null ? "" : number(db))));
    }

    return { element, show, search };
  };
})();
