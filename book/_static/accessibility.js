// Repairs what the theme and pandas leave inaccessible; tests/test_site.py checks the result with axe.
document.addEventListener("DOMContentLoaded", () => {
  const chinese = document.documentElement.lang.startsWith("zh");
  // The title and the search button stand outside every landmark.
  const sidebar = document.querySelector(".bd-sidebar-primary");
  if (sidebar && !sidebar.hasAttribute("role")) {
    sidebar.setAttribute("role", "navigation");
    sidebar.setAttribute("aria-label", chinese ? "本书" : "Book");
  }
  // What unfolds a chapter's pages has an arrow for a name.
  for (const summary of document.querySelectorAll("nav summary")) {
    if (summary.textContent.trim() === "") {
      const chapter = summary.closest("li")?.querySelector("a")?.textContent.trim();
      summary.setAttribute("aria-label", chinese ? `${chapter}的各页` : `Pages of ${chapter}`);
    }
  }
  // pandas writes the corner of a table as a header cell without text.
  for (const header of document.querySelectorAll("th")) {
    if (header.textContent.trim() === "") {
      const cell = document.createElement("td");
      for (const { name, value } of header.attributes) {
        if (name !== "scope") cell.setAttribute(name, value);
      }
      header.replaceWith(cell);
    }
  }
  // What scrolls sideways must be reachable by keyboard.
  const SCROLLING = ["div.math", ".cell_output", ".scrolling", ".text_html", "pre", ".pst-scrollable-table-container"]
    .map((box) => `.bd-article ${box}`)
    .join();
  const focusable = () => {
    for (const box of document.querySelectorAll(SCROLLING)) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    }
  };
  focusable();
  window.addEventListener("load", focusable);
  window.addEventListener("resize", focusable);
});
