// One switch a page for the code of its notebook, remembered from page to page. Without script each cell's code
// stays in a <details> of its own.
document.addEventListener("DOMContentLoaded", () => {
  const cells = document.querySelectorAll(".cell details.hide.above-input");
  const title = document.querySelector(".bd-article h1");
  if (cells.length === 0 || !title) return;
  const chinese = document.documentElement.lang.startsWith("zh");
  const words = chinese ? ["显示代码", "隐藏代码"] : ["Show code", "Hide code"];
  const button = document.createElement("button");
  button.type = "button";
  button.className = "show-code";
  const read = () => {
    try {
      return localStorage.getItem("show-code") === "yes";
    } catch {
      return false; // a browser that keeps nothing
    }
  };
  const set = (shown) => {
    for (const cell of cells) cell.open = shown;
    document.documentElement.classList.toggle("code-shown", shown);
    button.textContent = words[Number(shown)];
    button.setAttribute("aria-pressed", String(shown));
  };
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    set(shown);
    try {
      localStorage.setItem("show-code", shown ? "yes" : "no");
    } catch {
      // for this page only, then
    }
  });
  document.documentElement.classList.add("code-switched");
  title.after(button);
  set(read());
});
