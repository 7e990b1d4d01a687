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
