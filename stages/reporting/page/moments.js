// Moments: where the query truly happens, where it was predicted, and the saliency of every clip.
"use strict";
const moments = (() => {
  const { node, responsive, format, plain } = charts;
  const { said, clips, unit, FRAME } = spans;

  function windows(query, width) {
    const truth = query.truth.map((span) => ({ span, row: "truth", label: "" }));
    const predicted = query.windows.map((window, n) => ({ ...window, row: String(n + 1) }));
    const rows = ["truth", ...predicted.map((one) => one.row)];
    const told = [`true: ${query.truth.map((span) => said(query, span)).join(", ") || "none"}`,
      ...predicted.map((one) => `${one.row}: ${said(query, one.span)}, score ${format(one.score)}`)].join("; ");
    return Plot.plot({
      ...FRAME, width, height: 18 + 24 * rows.length, marginTop: 6, marginBottom: 12,
      ariaLabel: "True and predicted moments", ariaDescription: told,
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
      ...FRAME, width, height: 120, marginTop: 8, marginBottom: 34,
      ariaLabel: "Saliency of every clip", ariaDescription: `from ${format(low)} to ${format(high)} over ${ours.length} clips of ${plain(query.step)} s`,
      x: { domain: [0, query.duration], label: unit(query).axis, labelArrow: "none" },
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

  function full(query) {
    const upper = node("div", { class: "chart" });
    const lower = node("div", { class: "chart" });
    const list = node("ol", { "aria-label": "Predicted moments" });
    for (const window of query.windows) {
      const judged = window.iou === null ? "" : `, overlap with the truth (IoU) ${format(window.iou)}`;
      list.append(node("li", {}, `${said(query, window.span)}, score ${format(window.score)}${judged}`));
    }
    const keys = [["swatch", "truth", "true moment"], ["swatch", "predicted", "predicted, the stronger the surer"]];
    if (query.saliency.length) keys.push(["swatch", "saliency", "saliency"]);
    if (query.rated) keys.push(["dashed", "truth", "annotated saliency, own scale"]);
    const truth = node("p", { class: "hint" }, query.truth.length ? `True: ${query.truth.map((span) => said(query, span)).join(", ")}` : "This query has no answer in this video.");
    return {
      parts: [spans.legend(keys), upper, lower, truth, list],
      draw() {
        responsive(upper, (width) => windows(query, width));
        if (query.saliency.length) responsive(lower, (width) => saliency(query, width));
      },
    };
  }

  return { full };
})();
