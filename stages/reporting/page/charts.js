// Charts of a run: Observable Plot draws, this file says what. Colours are the page's own variables, so that a chart follows the
// reader's light or dark setting without being drawn again. Every chart's numbers stand in a table of the page as well.
"use strict";
const charts = (() => {
  const HUES = 6;
  const hue = (splits, split) => `var(--s${(splits.indexOf(split) % HUES) + 1})`;
  const format = (value) => (value === null || value === undefined ? "–" : value.toFixed(2).replace("-", "−"));

  const plain = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4 }).replace("-", "−");

  function node(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  // A drawing that is made anew when its place changes width: text stays readable at any size.
  function responsive(place, draw) {
    let width = 0;
    const redraw = () => {
      const now = Math.floor(place.clientWidth);
      if (now > 0 && Math.abs(now - width) > 1) {
        width = now;
        const plot = draw(now);
        plot.setAttribute("role", "img");
        for (const part of plot.querySelectorAll("g[aria-label]")) part.removeAttribute("aria-label"); // an image has no parts to name
        place.replaceChildren(plot);
      }
    };
    new ResizeObserver(redraw).observe(place);
    redraw();
  }

  const COMMON = { style: { background: "none", fontSize: "12px", overflow: "visible" } };

  // room for labels on the left; longer ones are cut by `labelled`
  const margin = (names, most) => Math.min(most, 16 + 6.4 * Math.max(...names.map((name) => name.length), 1));
  const labelled = (room) => (name) => {
    const letters = Math.max(4, Math.floor((room - 14) / 6.4));
    return name.length > letters ? `${name.slice(0, letters - 1)}…` : name;
  };

  function legend(splits, extras = []) {
    const items = splits.map((split) =>
      node("li", {}, node("i", { class: "swatch", style: `background:${hue(splits, split)}`, "aria-hidden": "true" }), split));
    for (const [mark, text] of extras) items.push(node("li", {}, node("i", { class: mark, "aria-hidden": "true" }), text));
    return node("ul", { class: "legend" }, ...items);
  }

  function overview(place, data) {
    const runs = [...new Set(data.points.map((point) => point.run))];
    const names = [...new Set(data.baselines.map((mark) => mark.name))];
    const lines = runs.map((run) => {
      const values = data.points.filter((point) => point.run === run).map((point) => point.value);
      return { run, low: Math.min(...values), high: Math.max(...values) };
    });
    const chart = node("div", { class: "chart" });
    place.append(legend(data.splits, names.length ? [["ring", "baseline"]] : []), chart);
    const said = data.points.map((point) => `${point.run}, ${point.split}: ${format(point.value)}`).join("; ");
    const tip = { fontSize: 12, lineHeight: 1.25 };
    responsive(chart, (width) => {
      const room = margin([...runs, ...names], width * 0.42);
      return Plot.plot({
        ...COMMON, width, height: 40 + 30 * (runs.length + names.length), marginLeft: room, marginRight: 24, marginTop: 8,
        ariaLabel: `${data.metric} of every run`, ariaDescription: said,
        x: { label: null, grid: true, nice: true, zero: true },
        y: { label: null, domain: [...runs, ...names], tickSize: 0, tickFormat: labelled(room), padding: 0.6 },
        marks: [
          Plot.link(lines, { x1: "low", x2: "high", y1: "run", y2: "run", stroke: "var(--line)", strokeWidth: 3 }),
          Plot.dot(data.baselines, { x: "value", y: "name", stroke: (mark) => hue(data.splits, mark.split), r: 4.5, strokeWidth: 2 }),
          Plot.dot(data.points, { x: "value", y: "run", fill: (point) => hue(data.splits, point.split), r: 6 }),
          Plot.tip([...data.points, ...data.baselines.map((mark) => ({ ...mark, run: mark.name }))], Plot.pointer({
            x: "value", y: "run", title: (point) => `${point.run}\n${point.split}: ${format(point.value)}`, ...tip })),
        ],
      });
    });
  }

  // One small chart per metric: bars by split; ticks for baselines and published numbers.
  function bars(place, data) {
    const metrics = [...new Set(data.bars.map((bar) => bar.metric))];
    for (const metric of metrics) {
      const own = data.bars.filter((bar) => bar.metric === metric);
      const marks = data.marks.filter((mark) => mark.metric === metric);
      const chart = node("div", { class: "chart" });
      place.append(node("div", { class: "card" }, node("h3", {}, metric), chart));
      const said = [...own.map((bar) => `${bar.split}: ${format(bar.value)}`),
        ...marks.map((mark) => `${mark.name}, ${mark.split}: ${format(mark.value)}`)].join("; ");
      responsive(chart, (width) => {
        const room = margin(data.splits, width * 0.45);
        return Plot.plot({
          ...COMMON, width, height: 34 + 30 * data.splits.length, marginLeft: room, marginRight: 44, marginTop: 4, marginBottom: 26,
          ariaLabel: `${metric} by split`, ariaDescription: said,
          x: { label: null, zero: true, tickSpacing: 45, nice: true },
          y: { label: null, domain: data.splits, tickSize: 0, tickFormat: labelled(room), padding: 0.28 },
          marks: [
            Plot.barX(own, { x: "value", y: "split", fill: (bar) => hue(data.splits, bar.split), rx: 3 }),
            Plot.tickX(marks.filter((mark) => mark.name !== "published"), { x: "value", y: "split", stroke: "var(--text)", strokeWidth: 2, inset: -4 }),
            Plot.dot(marks.filter((mark) => mark.name === "published"), { x: "value", y: "split", symbol: "diamond", r: 6, fill: "var(--surface)", stroke: "var(--text)", strokeWidth: 2 }),
            Plot.text(own, { x: (bar) => Math.max(bar.value, ...marks.filter((mark) => mark.split === bar.split).map((mark) => mark.value)), y: "split", text: (bar) => format(bar.value), textAnchor: "start", dx: 6, fill: "currentColor", fontWeight: 600 }),
            Plot.tip(marks, Plot.pointer({ x: "value", y: "split", title: (mark) => `${mark.name}, ${mark.split}: ${format(mark.value)}` })),
          ],
        });
      });
    }
    const lines = [...new Set(data.marks.map((mark) => mark.name))].filter((name) => name !== "published");
    const keys = lines.length ? [["mark", lines.join(", ")]] : [];
    if (data.marks.some((mark) => mark.name === "published")) keys.push(["diamond", "published"]);
    if (keys.length) place.before(legend([], keys));
  }

  function breakdown(place, data) {
    place.before(legend(data.splits));
    const metrics = [...new Set(data.bars.map((bar) => bar.metric))];
    for (const metric of metrics) {
      const own = data.bars.filter((bar) => bar.metric === metric);
      const groups = [...new Set(own.map((bar) => bar.group))];
      const chart = node("div", { class: "chart" });
      place.append(node("div", { class: "card" }, node("h3", {}, metric), chart));
      const said = own.map((bar) => `${bar.group}, ${bar.split}: ${format(bar.value)}`).join("; ");
      responsive(chart, (width) => {
        const room = margin(groups, width * 0.4);
        return Plot.plot({
          ...COMMON, width, height: 34 + groups.length * (14 + 15 * data.splits.length), marginLeft: room, marginRight: 40, marginTop: 2, marginBottom: 26,
          ariaLabel: `${metric} by group of queries`, ariaDescription: said,
          x: { label: null, zero: true, tickSpacing: 45, nice: true },
          y: { axis: null, domain: data.splits, padding: 0.12 },
          fy: { label: null, domain: groups, axis: "left", tickFormat: labelled(room), padding: 0.16 },
          marks: [
            Plot.barX(own, { x: "value", y: "split", fy: "group", fill: (bar) => hue(data.splits, bar.split), rx: 2,
              title: (bar) => `${bar.group}, ${bar.split}: ${format(bar.value)} (${bar.count} queries)`, tip: true }),
            Plot.text(own, { x: "value", y: "split", fy: "group", text: (bar) => bar.value.toFixed(1), textAnchor: "start", dx: 4, fontSize: 11, fill: "currentColor" }),
          ],
        });
      });
    }
  }

  function curves(place, groups) {
    for (const group of groups) {
      place.append(node("h3", {}, `${group.group}, by ${group.x}`));
      const multiples = node("div", { class: "multiples" });
      place.append(multiples);
      for (const series of group.series) {
        const chart = node("div", { class: "chart" });
        multiples.append(node("div", { class: "card" }, node("h3", {}, series.name), chart));
        const last = series.points[series.points.length - 1];
        responsive(chart, (width) => Plot.plot({
          ...COMMON, width, height: 140, marginLeft: 48, marginRight: 12, marginTop: 8, marginBottom: 24,
          ariaLabel: `${series.column} over ${group.x}`,
          ariaDescription: `from ${series.points[0][1]} to ${last[1]} in ${series.points.length} points`,
          x: { label: null, ticks: 4, tickFormat: (x) => (Number.isInteger(x) ? x.toLocaleString("en") : "") },
          y: { label: null, ticks: 4, grid: true, nice: true, tickFormat: plain },
          marks: [
            Plot.lineY(series.points, { x: "0", y: "1", stroke: "var(--s1)", strokeWidth: 2 }),
            Plot.dot(series.points, Plot.pointerX({ x: "0", y: "1", fill: "var(--s1)", r: 4 })),
            Plot.tip(series.points, Plot.pointerX({ x: "0", y: "1", title: (point) => `${group.x} ${point[0]}\n${point[1]}` })),
          ],
        }));
      }
    }
  }

  return { node, responsive, hue, format, overview, bars, breakdown, curves, plain, legend, margin, labelled, COMMON };
})();
