// Questions: the options with the given and the right one, and what the answer rests on: chosen clips and objects beside the evidence.
"use strict";
const answers = (() => {
  const { node, responsive, format, plain } = charts;
  const { said, clips, unit, FRAME } = spans;
  const verdict = (answer) => (answer.correct === null ? "answered" : answer.correct ? "✓ right" : "✗ wrong");

  // Shares of the options: how methods turn scores into probabilities.
  function shares(scores) {
    const highest = Math.max(...scores.filter((score) => score !== null));
    const raised = scores.map((score) => (score === null ? 0 : Math.exp(score - highest)));
    const total = raised.reduce((sum, one) => sum + one, 0);
    return raised.map((one) => one / total);
  }

  function option(text, share, answer) {
    const tags = [];
    if (text === answer.given) tags.push(node("span", { class: "tag given" }, "given"));
    if (text === answer.right) tags.push(node("span", { class: "tag right" }, "✓ right"));
    const bar = share === null ? [] : [node("span", { class: "share" }, node("i", { style: `width:${(100 * share).toFixed(1)}%`, "aria-hidden": "true" }), node("span", {}, `${(100 * share).toFixed(1)} %`))];
    return node("li", {}, node("bdi", {}, text), ...tags, ...bar);
  }

  function options(answer) {
    const open = !answer.options.length;
    const shared = answer.scores.length ? shares(answer.scores) : null;
    const told = open ? answer.best : answer.options.map((text, n) => [text, shared ? shared[n] : null]);
    const listed = told.map(([text, share]) => option(text, share, answer));
    if (!told.some(([text]) => text === answer.given)) listed.unshift(option(answer.given, null, answer));
    if (answer.right !== null && answer.right !== answer.given && !told.some(([text]) => text === answer.right)) listed.push(option(answer.right, null, answer));
    const hint = open ? "The likeliest answers with their probabilities" : shared ? "Options with the softmax of their scores" : "Options";
    return [node("p", { class: "hint" }, hint), node("ul", { class: "options", "aria-label": hint }, ...listed)];
  }

  // Evidence, predicted span and weights of the clips over one time axis. A chosen clip is filled, another one is an outline.
  function looked(query, width) {
    const ours = clips(query.saliency, query.step, query.duration).map((clip) => ({ ...clip, chosen: query.chosen.includes(clip.n) }));
    const rows = [...query.truth.map((span) => ({ span, row: "evidence", fill: "var(--truth)" })),
      ...query.windows.map(({ span }) => ({ span, row: "chosen", fill: "var(--predicted)" })),
      ...(query.span ? [{ span: query.span, row: "span", fill: "var(--predicted)" }] : [])];
    const names = ["evidence", "chosen", ...(query.span ? ["span"] : [])];
    const upper = Plot.plot({
      ...FRAME, width, height: 12 + 22 * names.length, marginTop: 4, marginBottom: 4,
      x: { domain: [0, query.duration], axis: null }, y: { domain: names, label: null, tickSize: 0, padding: 0.25 },
      marks: [
        Plot.barX(names, { x1: 0, x2: query.duration, y: (name) => name, fill: "var(--line)", fillOpacity: 0.45, rx: 3 }),
        Plot.barX(rows, { x1: (bar) => bar.span[0], x2: (bar) => bar.span[1], y: "row", fill: "fill", rx: 3 }),
        query.truth.length ? null : Plot.text(["unknown"], { x: query.duration / 2, y: () => "evidence", text: (word) => word, fill: "var(--soft)" }),
        Plot.ruleX(query.truth.flat(), { stroke: "var(--truth)", strokeDasharray: "3,3" }),
      ],
    });
    const lower = Plot.plot({
      ...FRAME, width, height: 130, marginTop: 8, marginBottom: 34,
      x: { domain: [0, query.duration], label: unit(query).axis, labelArrow: "none" },
      y: { label: null, ticks: 3, zero: true, nice: true, tickFormat: plain },
      marks: [
        Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1 }),
        Plot.rect(query.truth, { x1: "0", x2: "1", fill: "var(--truth)", fillOpacity: 0.14 }),
        Plot.rectY(ours, { x1: "from", x2: "to", y: "value", fill: (clip) => (clip.chosen ? "var(--predicted)" : "none"), stroke: "var(--predicted)", strokeWidth: 1.2, insetLeft: 1, insetRight: 1 }),
        Plot.tip(ours, Plot.pointerX({ x: (clip) => (clip.from + clip.to) / 2, y: "value", title: (clip) => `clip ${clip.n}${clip.chosen ? ", chosen" : ""}\nweight ${clip.value}` })),
      ],
    });
    return stacked([upper, lower], `Chosen clips against the evidence`, told(query));
  }

  function told(query) {
    const list = (all) => all.map((span) => said(query, span)).join(", ");
    return [`evidence: ${list(query.truth) || "unknown"}`, `chosen: ${list(query.windows.map((window) => window.span)) || "none"}`,
      ...(query.span ? [`predicted span: ${said(query, query.span)}`] : [])].join("; ");
  }

  // Objects by clip: a filled dot was chosen, a square shows the answer.
  function objects(query, width) {
    const middle = ([clip]) => (clip + 0.5) * query.step;
    const shown = query.shown ?? [];
    const most = Math.max(0, ...query.objects.map((one) => one[1]), ...shown.map((one) => one[1]));
    const plot = Plot.plot({
      ...FRAME, width, height: 46 + 16 * (most + 1), marginTop: 6, marginBottom: 34,
      x: { domain: [0, query.duration], label: unit(query).axis, labelArrow: "none" },
      y: { domain: d3.range(most + 1), type: "point", label: null, tickSize: 0, tickFormat: (n) => `object ${n}`, padding: 0.5 },
      marks: [
        Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1 }),
        Plot.dot(shown, { x: middle, y: "1", symbol: "square", r: 6, stroke: "var(--truth)", strokeWidth: 2 }),
        Plot.dot(query.objects, { x: middle, y: "1", r: 3.2, fill: "var(--predicted)" }),
      ],
    });
    const hits = query.objects.filter((one) => shown.some((other) => other[0] === one[0] && other[1] === one[1])).length;
    return stacked([plot], "Chosen objects by clip", `${query.objects.length} chosen${query.shown ? `, ${hits} of them show the answer; ${shown.length} do` : ""}`);
  }

  // Several plots as one image with one description.
  function stacked(plots, label, description) {
    for (const plot of plots) plot.setAttribute("aria-hidden", "true");
    return node("div", { "aria-label": `${label}. ${description}` }, ...plots);
  }

  function full(query) {
    const { answer } = query;
    const place = node("div", { class: "chart" });
    const below = node("div", { class: "chart" });
    const keys = [["swatch", "truth", "evidence"], ["swatch", "predicted", "chosen clip, with its weight"], ["outline", "predicted", "clip that was not chosen"]];
    const parts = [node("p", { class: `verdict ${answer.correct === false ? "wrong" : ""}` }, node("strong", {}, verdict(answer)), ": ", node("bdi", {}, answer.given)), ...options(answer)];
    if (query.saliency.length) parts.push(spans.legend(keys), place);
    if (query.objects.length) parts.push(spans.legend([["spot", "predicted", "chosen object"], ...(query.shown ? [["outline", "truth", "object that shows the answer"]] : [])]), below);
    parts.push(node("p", { class: "hint" }, `${told(query)}.`.replace(/^./, (letter) => letter.toUpperCase())));
    return {
      parts,
      draw() {
        if (query.saliency.length) responsive(place, (width) => looked(query, width));
        if (query.objects.length) responsive(below, (width) => objects(query, width));
      },
    };
  }

  return { full, verdict };
})();
