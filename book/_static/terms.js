// What a word of the glossary means, beside it: for a pointer that rests on it, for the keyboard, and for a finger,
// whose first tap shows it and whose second follows the link.
document.addEventListener("DOMContentLoaded", () => {
  const note = document.createElement("span");
  note.className = "term-note";
  note.id = "term-note";
  note.setAttribute("role", "tooltip");
  note.hidden = true;
  let shown = null;
  const hide = () => {
    shown?.removeAttribute("aria-describedby");
    shown = null;
    note.hidden = true;
  };
  const show = (term) => {
    if (shown === term) return;
    hide();
    shown = term;
    note.textContent = term.dataset.means;
    term.after(note);
    term.setAttribute("aria-describedby", note.id);
    note.hidden = false;
    // Below the word, within the text's own width.
    const parent = note.offsetParent ?? document.documentElement;
    const box = term.getClientRects()[0];
    const frame = parent.getBoundingClientRect();
    const left = Math.min(box.left - frame.left, parent.clientWidth - note.offsetWidth - 8);
    note.style.left = `${Math.max(0, left)}px`;
    note.style.top = `${box.bottom - frame.top + parent.scrollTop + 4}px`;
  };
  for (const term of document.querySelectorAll("a.term[data-means]")) {
    term.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && show(term));
    term.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
    term.addEventListener("focus", () => term.matches(":focus-visible") && show(term));
    term.addEventListener("blur", hide);
    term.addEventListener("click", (event) => {
      if (event.pointerType !== "touch" || shown === term) return;
      event.preventDefault();
      show(term);
    });
  }
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
});
