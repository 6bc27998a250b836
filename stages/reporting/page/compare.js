// Two runs side by side: per query, which one did better and by how much.
"use strict";
const compare = (() => {
  const { node, responsive, format, COMMON } = charts;
  const { plain } = grids;
  const tenths = (value, kind) => (kind === "display" ? value.toFixed(1).replace("-", "−") : value); // as exact as the page's data
  const signed = (value, kind) => (kind === "display" && value > 0 ? `+${tenths(value, kind)}` : tenths(value, kind));
  const RESULTS = ["first wins", "second wins", "alike"];
  let asked = null; // the run whose page led here
  let pick = null;

  const named = (label, select) => { select.setAttribute("aria-label", label); return node("label", {}, label, select); };
  const options = (names) => names.map((name, n) => node("option", { value: String(n) }, name));

  // Queries that both runs have a number for.
  function pairs(group, one, other, measure) {
    const found = [];
    group.splits.forEach((split, s) => {
      const [a, b] = [one.measures[measure][s], other.measures[measure][s]];
      if (!a || !b) return;
      split.ids.forEach((id, n) => {
        if (a[n] === null || b[n] === null) return;
        const difference = Math.round((b[n] - a[n]) * 10) / 10;
        found.push({ id, query: split.queries[n] || id, split: split.split, a: a[n], b: b[n], difference, result: RESULTS[difference < 0 ? 0 : difference > 0 ? 1 : 2] });
      });
    });
    return found;
  }

  // Per split: how many queries each run wins, as one bar that is 100 % long.
  function balance(width, list, splits, names) {
    const parts = splits.flatMap((split) => {
      const own = list.filter((pair) => pair.split === split);
      return [0, 2, 1].map((kind) => ({ split, kind, count: own.filter((pair) => pair.result === RESULTS[kind]).length, of: own.length })).filter((part) => part.count);
    });
    const colours = ["var(--s2)", "var(--s1)", "var(--line)"];
    const room = charts.margin(splits, width * 0.35);
    const texts = [`${names[0]} wins`, `${names[1]} wins`, "alike"];
    return Plot.plot({
      ...COMMON, width, height: 34 + 34 * splits.length, marginLeft: room, marginRight: 16, marginTop: 4, marginBottom: 26,
      ariaLabel: "Wins and losses by split", ariaDescription: parts.map((part) => `${part.split}: ${texts[part.kind]} ${part.count} of ${part.of}`).join("; "),
      x: { label: null, domain: [0, 100], ticks: 5, tickFormat: (x) => `${x} %` },
      y: { label: null, domain: splits, tickSize: 0, tickFormat: charts.labelled(room), padding: 0.3 },
      marks: [
        Plot.barX(parts, Plot.stackX({ x: (part) => (100 * part.count) / part.of, y: "split", fill: (part) => colours[part.kind], inset: 0.5, title: (part) => `${part.split}\n${texts[part.kind]}: ${part.count} of ${part.of}`, tip: true })),
        Plot.text(parts.filter((part) => part.count / part.of > 0.09), Plot.stackX({ x: (part) => (100 * part.count) / part.of, y: "split", text: (part) => part.count.toLocaleString("en"), fill: (part) => (part.kind === 2 ? "var(--text)" : "var(--page)"), fontWeight: 600 })),
      ],
    });
  }

  function differences(width, list) {
    const moved = list.filter((pair) => pair.difference !== 0);
    const [low, high] = d3.extent(moved, (pair) => pair.difference);
    return Plot.plot({
      ...COMMON, width, height: 150, marginLeft: 48, marginRight: 16, marginTop: 8, marginBottom: 34,
      ariaLabel: "Differences of the queries that are not alike", ariaDescription: `${moved.length} queries, from ${format(low)} to ${format(high)}`,
      x: { label: "second minus first", labelArrow: "none", nice: true }, y: { label: null, grid: true, ticks: 4 },
      marks: [
        Plot.rectY(moved, Plot.binX({ y: "count" }, { x: "difference", thresholds: 40, fill: (pair) => (pair.difference > 0 ? "var(--s1)" : "var(--s2)"), inset: 0.5 })),
        Plot.ruleX([0], { stroke: "var(--text)" }),
      ],
    });
  }

  function tile(value, text) {
    return node("li", {}, node("strong", {}, value), ` ${text}`);
  }

  function told(place, group, one, other, measure) {
    const list = pairs(group, one, other, measure);
    if (!list.length) {
      place.replaceChildren(node("p", { class: "hint" }, "These two runs have no query in common for this measure."));
      return;
    }
    const splits = group.splits.map((split) => split.split).filter((split) => list.some((pair) => pair.split === split));
    const count = (result) => list.filter((pair) => pair.result === result).length.toLocaleString("en");
    const mean = d3.mean(list, (pair) => pair.difference);
    const chart = node("div", { class: "chart" });
    const lower = node("div", { class: "chart" });
    const table = node("div", { class: "queries" });
    const key = node("ul", { class: "legend keys" }, ...[["--s2", `${one.run} wins`], ["--line", "alike"], ["--s1", `${other.run} wins`]].map(([colour, text]) =>
      node("li", {}, node("i", { class: "swatch", style: `--key:var(${colour})`, "aria-hidden": "true" }), text)));
    place.replaceChildren(
      node("ul", { class: "tiles", "aria-label": "In short" }, tile(count(RESULTS[0]), `won by ${one.run}`), tile(count(RESULTS[1]), `won by ${other.run}`), tile(count(RESULTS[2]), "alike"), tile(`${mean > 0 ? "+" : ""}${format(mean)}`, "mean difference, second minus first")),
      node("h2", {}, "Wins and losses"),
      node("div", { class: "multiples broad compared" }, node("div", { class: "card" }, node("h3", {}, `${measure}: wins by split`), key, chart), node("div", { class: "card" }, node("h3", {}, "How far apart, where not alike"), lower)),
      node("h2", {}, "Every query"),
      table,
    );
    responsive(chart, (width) => balance(width, list, splits, [one.run, other.run]));
    if (list.some((pair) => pair.difference !== 0)) responsive(lower, (width) => differences(width, list));
    else lower.append("Every query came out alike.");
    const columns = [
      { title: "query", data: "query", render: plain, className: "text" },
      { title: "split", data: "split", render: plain, visible: splits.length > 1, className: "which", choose: (pair) => pair.split },
      { title: "first", data: "a", render: tenths, className: "n" },
      { title: "second", data: "b", render: tenths, className: "n" },
      { title: "difference", data: "difference", render: signed, className: "n" },
      { title: "result", data: "result", render: plain, className: "which", choose: (pair) => pair.result },
      { title: "sample", data: "id", render: plain, className: "text video" },
    ];
    grids.listed(table, list, { columns, caption: `${measure} of every query: first ${one.run}, second ${other.run}`, pageLength: 25,
      created: (cell, column, pair) => { if (column.data === "query") cell.replaceChildren(node("bdi", {}, pair.query)); } });
  }

  // The first other run that answered a query of this one.
  function partner(group, first) {
    const common = (other) => Object.keys(group.runs[first].measures).some((name) => name in other.measures && pairs(group, group.runs[first], other, name).length);
    const found = group.runs.findIndex((other, n) => n !== first && common(other));
    return found >= 0 ? found : first === 0 ? 1 : 0;
  }

  function show(place, groups) {
    const shown = node("div", { "aria-live": "off" });
    const dataset = node("select", {}, ...options(groups.map((group) => group.dataset)));
    const [first, second, measure] = [node("select"), node("select"), node("select")];
    const group = () => groups[Number(dataset.value)];
    const run = (select) => group().runs[Number(select.value)];
    const draw = () => {
      if (measure.value) told(shown, group(), run(first), run(second), measure.value);
      else shown.replaceChildren(node("p", { class: "hint" }, "These two runs have no measure in common."));
    };
    const fillMeasures = () => {
      const shared = Object.keys(run(first).measures).filter((name) => name in run(second).measures);
      const kept = shared.includes(measure.value) ? measure.value : shared[0];
      measure.replaceChildren(...shared.map((name) => node("option", { value: name }, name)));
      if (kept) measure.value = kept;
      draw();
    };
    const fillRuns = () => {
      for (const select of [first, second]) select.replaceChildren(...options(group().runs.map((one) => one.run)));
      second.value = String(partner(group(), 0));
      fillMeasures();
    };
    dataset.addEventListener("change", fillRuns);
    for (const select of [first, second]) select.addEventListener("change", fillMeasures);
    measure.addEventListener("change", draw);
    place.append(node("div", { class: "tools pick" }, ...(groups.length > 1 ? [named("data set", dataset)] : []), named("first run", first), named("second run", second), named("measure", measure)), shown);
    pick = (anchor) => {
      const g = groups.findIndex((one) => one.runs.some((other) => other.anchor === anchor));
      if (g < 0) return;
      dataset.value = String(g);
      for (const select of [first, second]) select.replaceChildren(...options(groups[g].runs.map((one) => one.run)));
      const r = groups[g].runs.findIndex((one) => one.anchor === anchor);
      first.value = String(r);
      second.value = String(partner(groups[g], r));
      fillMeasures();
    };
    if (asked) pick(asked);
    else fillRuns();
  }

  // A link of a run's page asks for that run as the first one.
  function ask(anchor) {
    asked = anchor;
    if (pick) pick(anchor);
  }

  return { show, ask };
})();
