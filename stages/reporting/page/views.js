// Which part of the page is shown: the address after # names it. A part's charts are drawn when it is first shown.
"use strict";
(() => {
  const views = [...document.querySelectorAll(".view")];
  const jump = document.getElementById("jump");
  const read = (id) => JSON.parse(document.getElementById(id).textContent);

  function draw(view) {
    if (view.dataset.drawn) return;
    view.dataset.drawn = "yes";
    for (const place of view.querySelectorAll("[data-chart]")) {
      const data = read(place.dataset.source);
      const kind = place.dataset.chart;
      if (kind === "queries") queries.show(place, data, read(place.dataset.splits).bars.splits);
      else if (kind === "overview") charts.overview(place, data);
      else charts[kind](place, data[kind]);
    }
    for (const table of view.querySelectorAll("table.grid")) grids.enhance(table);
  }

  function show() {
    const asked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const view = asked?.closest(".view") ?? views[0];
    for (const other of views) other.hidden = other !== view;
    jump.value = view.id;
    document.body.dataset.view = view.id;
    draw(view);
    document.title = view === views[0] ? document.querySelector(".home").textContent : `${view.querySelector("h1").textContent} · ${document.querySelector(".home").textContent}`;
    if (asked && asked !== view) asked.scrollIntoView();
    else window.scrollTo(0, 0);
  }

  jump.addEventListener("change", () => { location.hash = jump.value; });
  window.addEventListener("hashchange", () => { show(); document.getElementById("main").focus({ preventScroll: true }); });
  show();
})();
