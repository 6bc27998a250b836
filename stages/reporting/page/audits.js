// Audits: levels and effects of every variant with their intervals, and effects over the strength of the bias.
"use strict";
const audits = (() => {
  const { node, responsive, hue, format, plain, margin, labelled, COMMON } = charts;
  const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "cross"];
  const SIGNS = ["●", "■", "▲", "◆", "★", "✚"]; // the same, for the keys
  const keys = (names) => node("ul", { class: "legend" }, ...names.map((name, n) =>
    node("li", {}, node("i", { class: "sign", style: `color:${hue(names, name)}`, "aria-hidden": "true" }, SIGNS[n % SIGNS.length]), name)));
  const between = (point) => (point.low === null || point.high === null ? "" : `, ${format(point.low)} to ${format(point.high)}`);
  const ends = (points) => points.filter((point) => point.low !== null && point.high !== null);

  function levels(width, points, data) {
    const variants = data.variants.filter((variant) => points.some((point) => point.variant === variant));
    const room = margin(variants, width * 0.4);
    const present = data.splits.filter((split) => points.some((point) => point.split === split));
    const symbol = (point) => SYMBOLS[present.indexOf(point.split) % SYMBOLS.length];
    return Plot.plot({
      ...COMMON, width, height: 40 + variants.length * (10 + 15 * present.length), marginLeft: room, marginRight: 20, marginTop: 4, marginBottom: 28,
      ariaLabel: "Level of every variant by split", ariaDescription: points.map((point) => `${point.variant}, ${point.split}: ${format(point.value)}${between(point)}`).join("; "),
      x: { label: null, grid: true, nice: true, tickSpacing: 70 },
      y: { axis: null, domain: present, padding: 0.2, type: "band" },
      fy: { label: null, domain: variants, axis: "left", tickFormat: labelled(room), padding: 0.12 },
      symbol: { type: "identity" },
      marks: [
        Plot.ruleY(ends(points), { x1: "low", x2: "high", y: "split", fy: "variant", stroke: (point) => hue(present, point.split), strokeWidth: 2 }),
        Plot.dot(points, { x: "value", y: "split", fy: "variant", r: 5, symbol, fill: (point) => hue(present, point.split) }),
        Plot.tip(points, Plot.pointer({ x: "value", y: "split", fy: "variant", title: (point) => `${point.variant}\n${point.split}: ${format(point.value)}${between(point)}` })),
      ],
    });
  }

  // One row per variant; what lies right of the line helps, or is lost, as the head of the chart says.
  function forest(width, points, head) {
    const names = points.map((point) => point.variant);
    const room = margin(names, width * 0.4);
    return Plot.plot({
      ...COMMON, width, height: 36 + 28 * points.length, marginLeft: room, marginRight: 56, marginTop: 4, marginBottom: 28,
      ariaLabel: head, ariaDescription: points.map((point) => `${point.variant}: ${format(point.value)}${between(point)}`).join("; "),
      x: { label: null, grid: true, nice: true, zero: true, tickSpacing: 70 },
      y: { label: null, domain: names, tickSize: 0, tickFormat: labelled(room), padding: 0.4 },
      marks: [
        Plot.ruleX([0], { stroke: "var(--text)" }),
        Plot.ruleY(ends(points), { x1: "low", x2: "high", y: "variant", stroke: "var(--s1)", strokeWidth: 3 }),
        Plot.tickX(ends(points), { x: "low", y: "variant", stroke: "var(--s1)", strokeWidth: 2, inset: 3 }),
        Plot.tickX(ends(points), { x: "high", y: "variant", stroke: "var(--s1)", strokeWidth: 2, inset: 3 }),
        // filled: the interval excludes 0
        Plot.dot(points, { x: "value", y: "variant", r: 5.5, stroke: "var(--s1)", strokeWidth: 2, fill: (point) => (point.low > 0 || (point.high !== null && point.high < 0) ? "var(--s1)" : "var(--surface)") }),
        Plot.text(points, { x: (point) => Math.max(point.high ?? point.value, 0), y: "variant", text: (point) => format(point.value), textAnchor: "start", dx: 9, fill: "currentColor", fontWeight: 600 }),
        Plot.tip(points, Plot.pointer({ x: "value", y: "variant", title: (point) => `${point.variant}: ${format(point.value)}${between(point)}` })),
      ],
    });
  }

  function sweep(width, points, variants, over, head) {
    const own = variants.filter((variant) => points.some((point) => point.variant === variant));
    const colour = (point) => hue(own, point.variant);
    const sorted = [...points].sort((one, other) => one.strength - other.strength);
    return Plot.plot({
      ...COMMON, width, height: 260, marginLeft: 48, marginRight: 16, marginTop: 10, marginBottom: 38,
      ariaLabel: head, ariaDescription: sorted.map((point) => `${point.variant} at ${point.strength}: ${format(point.value)}${between(point)}`).join("; "),
      x: { label: over, labelArrow: "none", ticks: 6 }, y: { label: null, grid: true, nice: true, zero: true, tickFormat: plain },
      symbol: { type: "identity" },
      marks: [
        Plot.ruleY([0], { stroke: "var(--text)" }),
        Plot.areaY(ends(sorted), { x: "strength", y1: "low", y2: "high", z: "variant", fill: colour, fillOpacity: 0.15 }),
        Plot.lineY(sorted, { x: "strength", y: "value", z: "variant", stroke: colour, strokeWidth: 2 }),
        Plot.dot(sorted, { x: "strength", y: "value", r: 4.5, fill: colour, symbol: (point) => SYMBOLS[own.indexOf(point.variant) % SYMBOLS.length] }),
        Plot.tip(sorted, Plot.pointer({ x: "strength", y: "value", title: (point) => `${point.variant} at ${point.strength}\n${format(point.value)}${between(point)}` })),
      ],
    });
  }

  function card(place, head, draw, key) {
    const chart = node("div", { class: "chart" });
    place.append(node("div", { class: "card" }, node("h3", {}, head), ...(key ? [key] : []), chart));
    responsive(chart, draw);
  }

  const capital = (text) => text.replace(/^./, (letter) => letter.toUpperCase());

  function drawn(place, data, one) {
    if (one.levels.length) {
      place.append(node("h2", {}, "Levels"));
      card(place, `${one.measure} of every variant, by split`, (width) => levels(width, one.levels, data), keys(data.splits.filter((split) => one.levels.some((point) => point.split === split))));
    }
    if (one.effects.length) {
      place.append(node("h2", {}, "Effects"), node("p", { class: "hint" }, "Bars are intervals over seeds and queries. A filled mark: the interval excludes 0."));
      const multiples = node("div", { class: "multiples broad" });
      place.append(multiples);
      for (const effect of one.effects) card(multiples, effect.says, (width) => forest(width, effect.points, effect.says));
    }
    if (data.parts && one === data.measures[0]) {
      place.append(node("h2", {}, "Gain by group"));
      card(place, "Gain of the full method by group of queries, in points", (width) => forest(width, data.parts, "Gain by group of queries"));
    }
    if (one.sweeps.length) {
      place.append(node("h2", {}, "Over the strength of the bias"));
      for (const part of one.sweeps) {
        const head = capital(`${part.kind}${part.split ? `, ${part.split}` : ""}: ${one.measure}`);
        const own = data.variants.filter((variant) => part.points.some((point) => point.variant === variant));
        card(place, head, (width) => sweep(width, part.points, data.variants, data.over, head), keys(own));
      }
    }
  }

  function show(place, data) {
    const shown = node("div", {});
    const select = node("select", { "aria-label": "measure" }, ...data.measures.map((one, n) => node("option", { value: String(n) }, one.measure)));
    select.addEventListener("change", () => { shown.replaceChildren(); drawn(shown, data, data.measures[Number(select.value)]); });
    if (data.measures.length > 1) place.append(node("div", { class: "tools pick" }, node("label", {}, "measure", select)));
    place.append(shown);
    drawn(shown, data, data.measures[0]);
  }

  function gains(place, points) {
    place.append(node("h2", {}, "Gains"));
    card(place, "Gain of every method's intervention on the split without the bias, in points", (width) => forest(width, points, "Gain of every audit"));
  }

  return { show, gains };
})();
