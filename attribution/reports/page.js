"use strict";
(() => {
  const links = [...document.querySelectorAll("nav a")];
  const panel = link => document.getElementById(link.hash.slice(1));
  document.querySelector("nav ul").setAttribute("role", "tablist");
  const show = link => {
    for (const other of links) {
      const on = other === link;
      other.setAttribute("aria-selected", on);
      other.tabIndex = on ? 0 : -1;
      panel(other).hidden = !on;
    }
  };
  links.forEach((link, i) => {
    link.parentElement.setAttribute("role", "presentation");
    link.setAttribute("role", "tab");
    link.id = "tab-" + link.hash.slice(1);
    link.setAttribute("aria-controls", link.hash.slice(1));
    panel(link).setAttribute("role", "tabpanel");
    panel(link).setAttribute("aria-labelledby", link.id);
    link.addEventListener("click", event => {
      event.preventDefault();
      history.replaceState(null, "", link.hash);
      show(link);
    });
    link.addEventListener("keydown", event => {
      const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      const to = event.key === "Home" ? links[0] : event.key === "End" ? links.at(-1)
        : step && links[(i + step + links.length) % links.length];
      if (to) { event.preventDefault(); show(to); to.focus(); }
    });
  });
  const visit = hash => {
    const target = hash.length > 1 && document.getElementById(decodeURIComponent(hash.slice(1)));
    if (!target) return false;
    const section = target.closest("section");
    const link = links.find(x => section && x.hash === "#" + section.id);
    if (!link) return false;
    show(link);
    const inner = target.closest("details");
    if (inner) { inner.open = true; inner.querySelector("summary").focus(); }
    if (target !== section) target.scrollIntoView();
    return true;
  };
  if (!visit(location.hash)) show(links[0]);
  window.addEventListener("hashchange", () => visit(location.hash));
  document.querySelectorAll("main a[href^='#']").forEach(link => link.addEventListener("click", event => {
    event.preventDefault();
    history.pushState(null, "", link.hash);
    visit(link.hash);
  }));
  const value = (row, j) => row.children[j].dataset.v;
  document.querySelectorAll("table.sortable").forEach(table => {
    table.querySelectorAll("thead th").forEach((head, j) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        table.querySelectorAll("thead th").forEach(x => x.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const sign = down ? -1 : 1;
        const rows = [...body.rows];
        rows.sort((a, b) => {
          const [x, y] = [value(a, j), value(b, j)];
          if (j > 0 && (x === "" || y === "")) return (x === "") - (y === "");
          if (j === 0 || Number.isNaN(Number(x) + Number(y)))
            return sign * x.localeCompare(y, undefined, {numeric: true});
          return sign * (Number(x) - Number(y));
        });
        body.append(...rows);
      });
    });
  });
  document.querySelectorAll("input[data-filter]").forEach(input => {
    const holder = input.closest(".filter");
    const said = holder.querySelector("[role=status]");
    const rows = [...document.getElementById(input.dataset.filter).tBodies[0].rows];
    holder.hidden = false;
    input.addEventListener("input", () => {
      const wanted = input.value.toLocaleLowerCase();
      let count = 0;
      for (const row of rows) {
        row.hidden = !value(row, 0).toLocaleLowerCase().includes(wanted);
        count += !row.hidden;
      }
      said.textContent = wanted ? `${count} of ${rows.length}` : "";
    });
  });
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(x => { x.open = true; }));
})();
