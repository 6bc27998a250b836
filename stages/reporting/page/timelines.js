// Timelines: what was asked, where it truly happens, what was predicted, and the saliency of every clip.
"use strict";
const timelines = (() => {
  const { node, responsive, format, plain, COMMON } = charts;
  const seconds = (span) => `${span[0]}–${span[1]} s`;
  const clips = (values, step, duration) =>
    values.map((value, n) => ({ from: n * step, to: Math.min((n + 1) * step, duration), value })).filter((clip) => clip.from < duration && clip.value !== null);

  // Two thin rows for the list of queries: truth above, first predicted moment below.
  function strip(place, query) {
    const bars = query.truth.map((span) => ({ span, row: "truth" }));
    if (query.windows.length) bars.push({ span: query.windows[0].span, row: "predicted" });
    const told = query.truth.length ? `true ${query.truth.map(seconds).join(", ")}` : "no true moment";
    const said = query.windows.length ? `predicted ${seconds(query.windows[0].span)}` : "nothing predicted";
    responsive(place, (width) => Plot.plot({
      ...COMMON, width, height: 30, margin: 2, axis: null, ariaLabel: `${told}; ${said}; of ${query.duration} s`,
      x: { domain: [0, query.duration] }, y: { domain: ["truth", "predicted"], padding: 0.18 },
      marks: [
        Plot.barX(["truth", "predicted"], { x1: 0, x2: query.duration, y: (row) => row, fill: "var(--line)", fillOpacity: 0.55, rx: 2 }),
        Plot.barX(bars, { x1: (bar) => bar.span[0], x2: (bar) => bar.span[1], y: "row", fill: (bar) => `var(--${bar.row})`, rx: 2 }),
      ],
    }));
  }

  function moments(query, width) {
    const truth = query.truth.map((span) => ({ span, row: "truth", label: "" }));
    const predicted = query.windows.map((window, n) => ({ ...window, row: String(n + 1) }));
    const rows = ["truth", ...predicted.map((one) => one.row)];
    return Plot.plot({
      ...COMMON, width, height: 18 + 24 * rows.length, marginLeft: 60, marginRight: 64, marginTop: 6, marginBottom: 12,
      ariaLabel: "True and predicted moments",
      ariaDescription: [`true: ${query.truth.map(seconds).join(", ") || "none"}`, ...predicted.map((one) => `${one.row}: ${seconds(one.span)}, score ${format(one.score)}`)].join("; "),
      x: { domain: [0, query.duration], axis: null, grid: true },
      y: { domain: rows, label: null, tickSize: 0, padding: 0.25 },
      marks: [
        Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1 }),
        Plot.barX(truth, { x1: (bar) => bar.span[0], x2: (bar) => bar.span[1], y: "row", fill: "var(--truth)", rx: 3 }),
        Plot.barX(predicted, { x1: (bar) => bar.span[0], x2: (bar) => bar.span[1], y: "row", fill: "var(--predicted)", fillOpacity: (bar) => 0.3 + 0.7 * Math.min(Math.max(bar.score, 0), 1), rx: 3 }),
        Plot.text(predicted, { x: query.duration, y: "row", text: (bar) => format(bar.score), textAnchor: "start", dx: 8, fill: "currentColor" }),
        predicted.length ? Plot.text(["score"], { x: query.duration, y: () => "truth", text: (word) => word, textAnchor: "start", dx: 8, fill: "var(--soft)" }) : null,
        Plot.ruleX(query.truth.flat(), { stroke: "var(--truth)", strokeDasharray: "3,3", strokeOpacity: 0.8 }),
      ],
    });
  }

  function saliency(query, width) {
    const ours = clips(query.saliency, query.step, query.duration);
    const rated = query.rated ? clips(query.rated, query.step, query.duration) : [];
    const [low, high] = d3.extent(ours, (clip) => clip.value);
    const [ratedLow, ratedHigh] = d3.extent(rated, (clip) => clip.value);
    // ratings have a scale of their own (0 to 4): they are drawn over the same height, for their shape
    const onto = (value) => low + ((value - Math.min(ratedLow, 0)) / (ratedHigh - Math.min(ratedLow, 0) || 1)) * (high - low);
    const step = (list, y) => list.flatMap((clip) => [{ x: clip.from, y: y(clip.value) }, { x: clip.to, y: y(clip.value) }]);
    return Plot.plot({
      ...COMMON, width, height: 120, marginLeft: 60, marginRight: 64, marginTop: 8, marginBottom: 34,
      ariaLabel: "Saliency of every clip", ariaDescription: `from ${format(low)} to ${format(high)} over ${ours.length} clips of ${query.step} s`,
      x: { domain: [0, query.duration], label: "seconds", labelArrow: "none" },
      y: { label: null, ticks: 3, nice: true, tickFormat: plain },
      marks: [
        Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1 }),
        Plot.rect(query.truth, { x1: "0", x2: "1", fill: "var(--truth)", fillOpacity: 0.14 }),
        Plot.areaY(step(ours, (value) => value), { x: "x", y1: low, y2: "y", fill: "var(--saliency)", fillOpacity: 0.25 }),
        Plot.lineY(step(ours, (value) => value), { x: "x", y: "y", stroke: "var(--saliency)", strokeWidth: 2 }),
        rated.length && high > low ? Plot.lineY(step(rated, onto), { x: "x", y: "y", stroke: "var(--truth)", strokeDasharray: "4,3", strokeWidth: 1.5 }) : null,
        Plot.tip(ours, Plot.pointerX({ x: (clip) => (clip.from + clip.to) / 2, y: "value", title: (clip) => `${clip.from.toFixed(1)}–${clip.to.toFixed(1)} s\n${clip.value}` })),
      ],
    });
  }

  function fact(name, value) {
    return node("div", {}, node("dt", {}, name), node("dd", {}, node("bdi", {}, value)));
  }

  // The whole timeline of one query.
  function full(query) {
    const upper = node("div", { class: "chart" });
    const lower = node("div", { class: "chart" });
    const facts = node("dl", { class: "facts" }, fact("video", query.video), fact("sample", query.id), fact("split", query.split), fact("length", `${query.duration} s`));
    if (query.answerable !== null) facts.append(fact("answerable, says the model", `${(100 * query.answerable).toFixed(1)} %`));
    const list = node("ol", { "aria-label": "Predicted moments" });
    for (const window of query.windows) {
      const judged = window.iou === null ? "" : `, overlap with the truth (IoU) ${format(window.iou)}`;
      list.append(node("li", {}, `${seconds(window.span)}, score ${format(window.score)}${judged}`));
    }
    const keys = [["truth", "true moment"], ["predicted", "predicted, the stronger the surer"], ["saliency", "saliency"]];
    const legend = node("ul", { class: "legend" });
    for (const [name, text] of keys) legend.append(node("li", {}, node("i", { class: "swatch", style: `background:var(--${name})`, "aria-hidden": "true" }), text));
    if (query.rated) legend.append(node("li", {}, node("i", { class: "swatch", style: "background:none;border:2px dashed var(--truth)", "aria-hidden": "true" }), "annotated saliency, own scale"));
    const truth = node("p", { class: "hint" }, query.truth.length ? `True: ${query.truth.map(seconds).join(", ")}` : "This query has no answer in this video.");
    const whole = node("div", { class: "timeline" }, node("blockquote", {}, node("bdi", {}, query.query)), facts, legend, upper, lower, truth, list);
    return {
      whole,
      draw() {
        responsive(upper, (width) => moments(query, width));
        if (query.saliency.length) responsive(lower, (width) => saliency(query, width));
      },
    };
  }

  return { strip, full };
})();
