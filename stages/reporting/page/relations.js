// Relations of a video: true triplets with when they hold and which prediction found them; predicted ones, hit or miss.
"use strict";
const relations = (() => {
  const { node, responsive, format } = charts;
  const { said, unit, FRAME } = spans;
  const words = (one) => one.triplet.join(" ");
  const found = (one) => (one.rank === null ? "✗ missed" : `✓ by ${one.rank}`);
  const hit = (one) => (one.hit === null ? "" : one.hit ? "✓ hit" : "✗ miss");

  function rows(query, list, width, name, colour, mark) {
    const wide = width >= 520;
    const room = wide ? Math.min(280, 22 + 6.4 * Math.max(...list.map((one, n) => words(one).length + String(n + 1).length + 2))) : 26;
    const letters = Math.floor((room - 14) / 6.4);
    const label = (n) => {
      const text = wide ? `${n + 1}. ${words(list[n])}` : String(n + 1);
      return text.length > letters && wide ? `${text.slice(0, letters - 1)}…` : text;
    };
    return Plot.plot({
      ...FRAME, width, height: 40 + 20 * list.length, marginLeft: room, marginTop: 4, marginBottom: 34,
      ariaLabel: name, ariaDescription: list.map((one) => `${words(one)}, ${said(query, one.span)}, ${mark(one)}`).join("; "),
      x: { domain: [0, query.duration], label: unit(query).axis, labelArrow: "none" },
      y: { domain: d3.range(list.length), label: null, tickSize: 0, tickFormat: label, padding: 0.25 },
      marks: [
        Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1 }),
        Plot.barX(list, { x1: (one) => one.span[0], x2: (one) => one.span[1], y: (_, n) => n, rx: 3, stroke: `var(--${colour})`, fill: (one) => (mark(one).startsWith("✗") ? "none" : `var(--${colour})`) }),
        Plot.text(list, { x: query.duration, y: (_, n) => n, text: mark, textAnchor: "start", dx: 6, fill: "currentColor" }),
      ],
    });
  }

  function listed(query, list, name, mark) {
    const items = list.map((one) => {
      const score = one.score === null ? "" : `, score ${format(one.score)}`;
      return node("li", {}, node("bdi", {}, words(one)), `, ${said(query, one.span)}${score}${mark(one) ? `, ${mark(one)}` : ""}`);
    });
    return node("ol", { "aria-label": name }, ...items);
  }

  function full(query) {
    const { truth, predicted } = query.relations;
    const sides = [["True relations", truth, "truth", found], ["Predicted relations, the surest first", predicted, "predicted", hit]].filter(([, list]) => list.length);
    const places = sides.map(() => node("div", { class: "chart" }));
    const parts = [spans.legend([["swatch", "truth", "true, and found"], ["outline", "truth", "true, but missed"], ["swatch", "predicted", "predicted, a hit"], ["outline", "predicted", "predicted, a miss"]])];
    sides.forEach(([name, list, , mark], n) => parts.push(node("h3", {}, name), places[n], node("details", {}, node("summary", {}, "As a list"), listed(query, list, name, mark))));
    return {
      parts,
      draw() {
        sides.forEach(([name, list, colour, mark], n) => responsive(places[n], (width) => rows(query, list, width, name, colour, mark)));
      },
    };
  }

  return { full, hits: (query) => query.relations.predicted.filter((one) => one.hit).length };
})();
