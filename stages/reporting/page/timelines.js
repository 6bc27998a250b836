// Timelines: what was asked, what is true, what was said and what it rests on. One look per kind of query.
"use strict";
const timelines = (() => {
  const { node, responsive, COMMON } = charts;
  const { said } = spans;

  // Truth and prediction as spans, whatever the kind of query.
  function both(query) {
    if (query.relations) return { truth: query.relations.truth.map((one) => one.span), predicted: query.relations.predicted.filter((one) => one.hit !== false).map((one) => one.span) };
    const windows = query.windows.map((window) => window.span);
    return { truth: query.truth, predicted: query.answer ? windows : windows.slice(0, 1) };
  }

  // Two thin rows for the list of queries: truth above, what was predicted below.
  function strip(place, query) {
    const { truth, predicted } = both(query);
    const bars = [...truth.map((span) => ({ span, row: "truth" })), ...predicted.map((span) => ({ span, row: "predicted" }))];
    const list = (all, none) => (all.length ? all.slice(0, 9).map((span) => said(query, span)).join(", ") : none);
    responsive(place, (width) => Plot.plot({
      ...COMMON, width, height: 30, margin: 2, axis: null, ariaLabel: `true ${list(truth, "none")}; predicted ${list(predicted, "none")}; of ${query.duration}`,
      x: { domain: [0, query.duration] }, y: { domain: ["truth", "predicted"], padding: 0.18 },
      marks: [
        Plot.barX(["truth", "predicted"], { x1: 0, x2: query.duration, y: (row) => row, fill: "var(--line)", fillOpacity: 0.55, rx: 2 }),
        Plot.barX(bars, { x1: (bar) => bar.span[0], x2: (bar) => bar.span[1], y: "row", fill: (bar) => `var(--${bar.row})`, rx: 2 }),
      ],
    }));
  }

  // The whole timeline of one query.
  function full(query) {
    const found = [(query.relations ? relations : query.answer ? answers : moments).full(query), dictionaries.full(query)];
    const whole = node("div", { class: "timeline" }, node("blockquote", {}, node("bdi", {}, query.query)), spans.facts(query), ...found.flatMap((one) => one.parts));
    return { whole, draw() { for (const one of found) one.draw(); } };
  }

  return { strip, full };
})();
