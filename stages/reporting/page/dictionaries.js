// What a method read off its confounder dictionary: the entries that count most, clip by clip or for the video as a whole.
"use strict";
const dictionaries = (() => {
  const { node, responsive, plain } = charts;
  const { unit, FRAME } = spans;
  const percent = (value) => `${plain(Number((100 * value).toPrecision(3)))} %`;

  function cells(query) {
    const { entries, weights, gate } = query.dictionary;
    const rows = [...(gate ? [["share", gate]] : []), ...entries.map((entry, n) => [`entry ${entry}`, weights[n]])];
    return rows.flatMap(([row, values]) => {
      const step = query.duration / values.length;
      return values.map((value, n) => ({ row, value, from: n * step, to: (n + 1) * step, gate: row === "share" }));
    });
  }

  function draw(query, width) {
    const all = cells(query);
    // full colour: four times an even share, or the largest there is; so weights that hardly differ stay pale
    const most = Math.max(4 / query.dictionary.size, ...all.filter((cell) => !cell.gate).map((cell) => cell.value));
    const rows = [...new Set(all.map((cell) => cell.row))];
    return Plot.plot({
      ...FRAME, width, height: 44 + 20 * rows.length, marginTop: 6, marginBottom: 34, ariaLabel: "Entries of the dictionary by clip", ariaDescription: told(query),
      x: { domain: [0, query.duration], label: unit(query).axis, labelArrow: "none" },
      y: { domain: rows, label: null, tickSize: 0, padding: 0.12 },
      marks: [
        Plot.rect(query.truth.flatMap((span) => rows.map((row) => ({ span, row }))), { x1: (bar) => bar.span[0], x2: (bar) => bar.span[1], y: "row", fill: "var(--truth)", fillOpacity: 0.14 }),
        Plot.barX(all, { x1: "from", x2: "to", y: "row", fill: (cell) => (cell.gate ? "var(--saliency)" : "var(--predicted)"), fillOpacity: (cell) => (cell.gate ? cell.value : cell.value / most), insetLeft: 0.5, insetRight: 0.5 }),
        Plot.ruleX(query.truth.flat(), { stroke: "var(--truth)", strokeDasharray: "3,3", strokeOpacity: 0.8 }),
        Plot.tip(all, Plot.pointer({ x: (cell) => (cell.from + cell.to) / 2, y: "row", title: (cell) => `${cell.row}, ${cell.from.toFixed(1)}\u2013${cell.to.toFixed(1)}\n${percent(cell.value)}` })),
      ],
    });
  }

  const mean = (values) => values.reduce((sum, one) => sum + one, 0) / values.length;

  function told(query) {
    const { entries, weights, gate, size } = query.dictionary;
    const listed = entries.map((entry, n) => `entry ${entry} ${percent(mean(weights[n]))}`).join(", ");
    const share = gate ? ` ${percent(mean(gate))} of a clip come from the dictionary, the rest is its own.` : "";
    return `Of ${size} entries (an even share is ${percent(1 / size)}) these count most: ${listed}.${share}`;
  }

  // {parts, draw} as a timeline has them; nothing for a method without a dictionary
  function full(query) {
    if (!query.dictionary) return { parts: [], draw() {} };
    const place = node("div", { class: "chart" });
    const keys = [["swatch", "predicted", "weight of an entry, the stronger the more it counts"], ...(query.dictionary.gate ? [["swatch", "saliency", "share of the clip that comes from the dictionary"]] : [])];
    return {
      parts: [node("h3", {}, "Read off the confounder dictionary"), spans.legend(keys), place, node("p", { class: "hint" }, told(query))],
      draw() { responsive(place, (width) => draw(query, width)); },
    };
  }

  return { full };
})();
