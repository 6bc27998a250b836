// Tables that sort and filter, by DataTables. Cells that come from data are written as text, never as HTML.
"use strict";
const grids = (() => {
  const { node, hue, format } = charts;
  const PAGE = 25;
  const FEW = 5; // rows that are seen at a glance

  // A choice above a table that keeps the rows with one value of a column.
  function chooser(table, column, name, values) {
    const select = node("select", { "aria-label": `show only this ${name}` }, node("option", { value: "" }, "all"));
    values.forEach((value, n) => select.append(node("option", { value: String(n) }, value)));
    select.addEventListener("change", () => {
      const wanted = select.value === "" ? null : values[Number(select.value)];
      table.column(column).search.fixed("chosen", wanted === null ? null : (text) => text.trim() === wanted).draw();
    });
    return node("label", {}, name, select);
  }

  function searchBox(table) {
    const input = node("input", { type: "search" });
    input.addEventListener("input", () => table.search(input.value).draw());
    return node("label", {}, "Filter", input);
  }

  // A table that is already in the page: results, all numbers.
  function enhance(element) {
    const rows = element.tBodies[0].rows.length;
    if (rows < 2) return;
    const heads = [...element.tHead.rows[element.tHead.rows.length - 1].cells];
    const table = new DataTable(element, {
      paging: rows > PAGE * 4, pageLength: PAGE * 4, lengthChange: false, order: [], autoWidth: false,
      layout: { topStart: null, topEnd: null, bottomStart: rows > PAGE * 4 ? "info" : null, bottomEnd: rows > PAGE * 4 ? "paging" : null },
    });
    if (rows <= FEW) return;
    const tools = node("div", { class: "tools" }, searchBox(table));
    for (const name of (element.dataset.filters || "").split(",").filter(Boolean)) {
      const column = heads.findIndex((head) => head.textContent.trim() === name);
      const values = [...new Set([...element.tBodies[0].rows].map((row) => row.cells[column].textContent.trim()))].filter(Boolean);
      if (values.length > 1) tools.append(chooser(table, column, name, values));
    }
    element.closest(".scroll").before(tools);
  }

  // The queries of a run. Only the rows of the page in sight are made and drawn, so their number does not matter.
  function queries(place, list, splits) {
    const element = node("table", {}, node("caption", {}, node("span", {}, "Queries; the button of a row opens its timeline")));
    const box = node("div", { class: "scroll" }, element);
    place.append(box);
    const plain = (value, kind) => (kind === "display" || kind === "filter" ? DataTable.util.escapeHtml(value === null ? "–" : String(value)) : value ?? -1);
    const figure = (value, kind) => (kind === "display" ? format(value) : value ?? -1);
    const several = new Set(list.map((query) => query.split)).size > 1;
    const judged = list.some((query) => query.answerable !== null);
    const columns = [
      { title: "query", data: "query", render: plain, className: "text" },
      { title: "timeline", data: null, defaultContent: "", orderable: false, searchable: false, className: "strip" },
      { title: "split", data: "split", render: plain, visible: several, className: "which" },
      { title: "IoU", data: (query) => query.windows[0]?.iou ?? null, render: figure, className: "n" },
      { title: "score", data: (query) => query.windows[0]?.score ?? null, render: figure, className: "n" },
      { title: "answerable", data: "answerable", render: figure, visible: judged, className: "n" },
      { title: "length, s", data: "duration", render: plain, className: "n" },
      { title: "video", data: "video", render: plain, className: "text video" },
    ];
    const table = new DataTable(element, {
      data: list, columns, order: [], autoWidth: false, pageLength: 10, lengthMenu: [10, 25, 50, 100], deferRender: true,
      layout: { topStart: null, topEnd: null, bottomStart: { features: ["info", "pageLength"] }, bottomEnd: "paging" },
      language: { lengthMenu: "_MENU_ per page", emptyTable: "No query", zeroRecords: "No query fits the filter" },
      createdRow: (row, query) => dress(row, query, splits, columns.filter((column) => column.visible !== false)),
    });
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button.ask");
      if (button) toggle(table, button);
    });
    const sight = () => {
      for (const cell of element.querySelectorAll("td.strip:empty")) timelines.strip(cell, table.row(cell.parentNode).data());
    };
    table.on("draw", sight);
    const tools = node("div", { class: "tools" }, searchBox(table));
    if (several) tools.append(chooser(table, 2, "split", [...new Set(list.map((query) => query.split))]));
    box.before(tools);
    sight();
    element.setAttribute("role", "table"); // the narrow layout sets rows as blocks, which would take the roles away
    element.tBodies[0].setAttribute("role", "rowgroup");
    const first = element.querySelector("button.ask");
    if (first) toggle(table, first);
  }

  function dress(row, query, splits, shown) {
    const button = node("button", { class: "ask", type: "button", "aria-expanded": "false" }, node("bdi", {}, query.query));
    row.setAttribute("role", "row");
    shown.forEach((column, n) => {
      const cell = row.cells[n];
      cell.setAttribute("role", "cell");
      cell.dataset.label = column.title;
      if (column.data === "query") cell.replaceChildren(button);
      else if (column.className === "which") cell.replaceChildren(node("span", { class: "split" }, node("i", { class: "swatch", style: `background:${hue(splits, query.split)}`, "aria-hidden": "true" }), query.split));
    });
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

  return { enhance, queries };
})();
