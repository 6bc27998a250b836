// What all timelines share: how spans are said, clips as rectangles, facts, keys, and the look of the time axis.
"use strict";
const spans = (() => {
  const { node, COMMON } = charts;
  const UNITS = { s: { short: "s", axis: "seconds" }, clip: { short: "clips", axis: "clips (the length of the video is unknown)" } };
  const unit = (query) => UNITS[query.unit];
  const said = (query, span) => `${span[0]}–${span[1]} ${unit(query).short}`;
  const clips = (values, step, duration) =>
    values.map((value, n) => ({ n, from: n * step, to: Math.min((n + 1) * step, duration), value })).filter((clip) => clip.from < duration && clip.value !== null);
  const fact = (name, value) => node("div", {}, node("dt", {}, name), node("dd", {}, node("bdi", {}, value)));
  const FRAME = { ...COMMON, marginLeft: 60, marginRight: 64 };

  function facts(query) {
    const list = node("dl", { class: "facts" }, fact("video", query.video), fact("sample", query.id), fact("split", query.split), fact("length", `${query.duration} ${unit(query).short}`));
    if (query.answerable !== null) list.append(fact("answerable, says the model", `${(100 * query.answerable).toFixed(1)} %`));
    return list;
  }

  // keys: [class of the mark, colour variable or null, text]
  function legend(keys) {
    const items = keys.map(([mark, colour, text]) =>
      node("li", {}, node("i", { class: mark, style: colour && `--key:var(--${colour})`, "aria-hidden": "true" }), text));
    return node("ul", { class: "legend keys" }, ...items);
  }

  return { unit, said, clips, fact, facts, legend, FRAME };
})();
