// The queries of a run: one row each, its timeline below when asked for.
"use strict";
const queries = (() => {
  const { node, hue } = charts;
  const { plain, figure } = grids;

  // What a kind of query is judged by.
  function judged(list) {
    if (list.some((query) => query.relations)) {
      return [
        { title: "hits", data: (query) => relations.hits(query), className: "n" },
        { title: "predicted", data: (query) => query.relations.predicted.length, className: "n" },
        { title: "true", data: (query) => query.relations.truth.length, className: "n" },
      ];
    }
    if (list.some((query) => query.answer)) {
      return [
        { title: "answer", data: (query) => query.answer.given, render: plain, className: "text" },
        { title: "result", data: (query) => answers.verdict(query.answer), render: plain, className: "which", choose: (query) => answers.verdict(query.answer) },
      ];
    }
    return [
      { title: "IoU", data: (query) => query.windows[0]?.iou ?? null, render: figure, className: "n" },
      { title: "score", data: (query) => query.windows[0]?.score ?? null, render: figure, className: "n" },
      { title: "answerable", data: "answerable", render: figure, visible: list.some((query) => query.answerable !== null), className: "n" },
    ];
  }

  function show(place, list, splits) {
    const columns = [
      { title: "query", data: "query", render: plain, className: "text" },
      { title: "timeline", data: null, defaultContent: "", orderable: false, searchable: false, className: "strip" },
      { title: "split", data: "split", render: plain, visible: new Set(list.map((query) => query.split)).size > 1, className: "which", choose: (query) => query.split },
      ...judged(list),
      { title: `length, ${spans.unit(list[0]).short}`, data: "duration", render: plain, className: "n" },
      { title: "video", data: "video", render: plain, className: "text video" },
    ];
    const { table, element } = grids.listed(place, list, {
      columns, caption: "Queries; the button of a row opens its timeline",
      created: (cell, column, query) => {
        if (column.data === "query") cell.replaceChildren(node("button", { class: "ask", type: "button", "aria-expanded": "false" }, node("bdi", {}, query.query)));
        else if (column.data === "split") cell.replaceChildren(node("span", { class: "split" }, node("i", { class: "swatch", style: `background:${hue(splits, query.split)}`, "aria-hidden": "true" }), query.split));
      },
    });
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button.ask");
      if (button) toggle(table, button);
    });
    const sight = () => {
      for (const cell of element.querySelectorAll("td.strip:empty")) timelines.strip(cell, table.row(cell.parentNode).data());
    };
    table.on("draw", sight);
    sight();
    const first = element.querySelector("button.ask");
    if (first) toggle(table, first);
  }

  function toggle(table, button) {
    const row = table.row(button.closest("tr"));
    const open = !row.child.isShown();
    if (open) {
      const { whole, draw } = timelines.full(row.data());
      row.child(whole).show();
      draw();
    } else row.child.hide();
    button.setAttribute("aria-expanded", String(open));
  }

  return { show };
})();
