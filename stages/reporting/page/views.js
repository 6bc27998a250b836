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
      else if (kind === "gains") audits.gains(place, data);
      else if (kind === "audit") audits.show(place, data);
      else if (kind === "compare") compare.show(place, data);
      else charts[kind](place, data[kind]);
    }
    for (const table of view.querySelectorAll("table.grid")) grids.enhance(table);
    for (const table of view.querySelectorAll("table.plain")) grids.cards(table);
  }

  function show() {
    const asked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const view = asked?.closest(".view") ?? views[0];
    for (const other of views) other.hidden = other !== view;
    jump.value = view.id;
    for (const link of document.querySelectorAll(".places a")) {
      if (link.hash === `#${view.id}` || (link.hash === "#audits" && view.classList.contains("audit"))) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.body.dataset.view = view.id;
    draw(view);
    document.title = view === views[0] ? document.querySelector(".home").textContent : `${view.querySelector("h1").textContent} · ${document.querySelector(".home").textContent}`;
    if (asked && asked !== view) asked.scrollIntoView();
    else window.scrollTo(0, 0);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-compare]");
    if (link) compare.ask(link.dataset.compare);
  });
  jump.addEventListener("change", () => { location.hash = jump.value; });
  window.addEventListener("hashchange", () => { show(); document.getElementById("main").focus({ preventScroll: true }); });
  // the browser goes to the part itself once all is loaded, which puts the head of the page out of sight
  window.addEventListener("load", () => requestAnimationFrame(() => { if (views.some((view) => `#${view.id}` === location.hash)) window.scrollTo(0, 0); }));
  show();
})();
