// A table wider than the text takes the margin beside it. This comes before the theme looks for what stands there,
// to make room for it.
document.addEventListener("readystatechange", () => {
  if (document.readyState !== "interactive") return;
  for (const table of document.querySelectorAll(".bd-article table")) {
    const box = table.closest(".cell_output, .pst-scrollable-table-container");
    if (!box || table.scrollWidth <= box.clientWidth + 1) continue;
    const cell = box.closest("div.cell");
    if (cell) cell.classList.add("tag_full-width");
    else box.classList.add("full-width");
  }
});

// Where it goes on beyond the edge it fades, until it is scrolled to its end.
document.addEventListener("DOMContentLoaded", () => {
  const look = (box) => box.classList.toggle("goes-on", box.scrollWidth - box.clientWidth - box.scrollLeft > 8);
  const seen = new ResizeObserver((entries) => entries.forEach((entry) => look(entry.target)));
  for (const table of document.querySelectorAll(".bd-article table")) {
    const box = [".scrolling", ".text_html", ".cell_output", ".pst-scrollable-table-container", ".table"]
      .map((name) => table.closest(name)).find((found) => found && /auto|scroll/.test(getComputedStyle(found).overflowX));
    // Text beside a table doesn't fade.
    if (!box || box.querySelector("p, svg")) continue;
    seen.observe(box);
    box.addEventListener("scroll", () => look(box), { passive: true });
  }
});
