// Tables that sort and filter, by DataTables. Cells that come from data are written as text, never as HTML.
"use strict";
const grids = (() => {
  const { node, format } = charts;
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

  // On a narrow screen the heads are out of sight, where sorting by a click is: there this choice stands for them.
  function sorter(table, titles) {
    const select = node("select", { "aria-label": "sort by" }, node("option", { value: "" }, "as given"));
    titles.forEach((title, n) => {
      if (title) for (const [way, arrow] of [["asc", "↑"], ["desc", "↓"]]) select.append(node("option", { value: `${n} ${way}` }, `${title} ${arrow}`));
    });
    select.addEventListener("change", () => {
      const [column, way] = select.value.split(" ");
      table.order(select.value ? [[Number(column), way]] : []).draw();
    });
    return node("label", { class: "sorter" }, "Sort by", select);
  }

  // The narrow layout sets rows as blocks, which would take the roles of a table away.
  function roles(element) {
    element.setAttribute("role", "table");
    for (const body of element.tBodies) body.setAttribute("role", "rowgroup");
  }

  // How cells are written: texts escaped, numbers with two decimals; what is missing comes first in sorting.
  const plain = (value, kind) => (kind === "display" || kind === "filter" ? DataTable.util.escapeHtml(value === null ? "–" : String(value)) : value ?? -1);
  const figure = (value, kind) => (kind === "display" ? format(value) : value ?? -1);

  // A table made from a list. Only the rows of the page in sight are made and drawn, so their number does not matter.
  function listed(place, list, { columns, caption, created, pageLength = 10 }) {
    const element = node("table", {}, node("caption", {}, node("span", {}, caption)));
    const box = node("div", { class: "scroll" }, element);
    place.append(box);
    const shown = columns.filter((column) => column.visible !== false);
    const table = new DataTable(element, {
      data: list, columns, order: [], autoWidth: false, pageLength, lengthMenu: [10, 25, 50, 100], deferRender: true,
      layout: { topStart: null, topEnd: null, bottomStart: { features: ["info", "pageLength"] }, bottomEnd: "paging" },
      language: { lengthMenu: "_MENU_ per page", emptyTable: "No query", zeroRecords: "No query fits the filter" },
      createdRow: (row, one) => {
        row.setAttribute("role", "row");
        shown.forEach((column, n) => {
          row.cells[n].setAttribute("role", "cell");
          row.cells[n].dataset.label = column.title;
          created?.(row.cells[n], column, one);
        });
      },
    });
    roles(element);
    const tools = node("div", { class: "tools" }, searchBox(table), sorter(table, columns.map((column) => (column.visible === false || column.orderable === false ? null : column.title))));
    columns.forEach((column, n) => {
      if (!column.choose || column.visible === false) return;
      const values = [...new Set(list.map((one) => String(column.choose(one))))];
      if (values.length > 1) tools.append(chooser(table, n, column.title, values));
    });
    box.before(tools);
    return { table, element, tools };
  }

  // Names beside the cells of a table that is already in the page, for the narrow layout. A row below a joint head lacks its cell.
  function cards(element) {
    const titles = [...element.tHead.rows[element.tHead.rows.length - 1].cells].map((head) => head.textContent.trim());
    for (const row of element.tBodies[0].rows) {
      row.setAttribute("role", "row");
      [...row.cells].forEach((cell, n) => {
        cell.setAttribute("role", cell.tagName === "TH" ? "rowheader" : "cell");
        cell.dataset.label = titles[n + titles.length - row.cells.length];
      });
    }
    roles(element);
    element.classList.add("cards");
  }

  // A table that is already in the page: results, all numbers.
  function enhance(element) {
    const rows = element.tBodies[0].rows.length;
    const titles = [...element.tHead.rows[element.tHead.rows.length - 1].cells].map((head) => head.textContent.trim());
    cards(element);
    if (rows < 2) return;
    const page = element.classList.contains("effects") ? PAGE : PAGE * 4; // effects have been drawn already
    const table = new DataTable(element, {
      paging: rows > page, pageLength: page, lengthChange: false, order: [], autoWidth: false,
      layout: { topStart: null, topEnd: null, bottomStart: rows > page ? "info" : null, bottomEnd: rows > page ? "paging" : null },
    });
    if (rows <= FEW) return;
    const tools = node("div", { class: "tools" }, searchBox(table), sorter(table, titles));
    for (const name of (element.dataset.filters || "").split(",").filter(Boolean)) {
      const column = titles.indexOf(name);
      const values = [...new Set([...element.tBodies[0].rows].map((row) => row.cells[column].textContent.trim()))].filter(Boolean);
      if (values.length > 1) tools.append(chooser(table, column, name, values));
    }
    element.closest(".scroll").before(tools);
  }

  return { enhance, cards, listed, plain, figure };
})();
