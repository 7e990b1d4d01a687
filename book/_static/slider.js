// Shows one drawing of a slider's at a time. Without script all of them show, one below the other.
document.addEventListener("DOMContentLoaded", () => {
  for (const slider of document.querySelectorAll(".slider")) {
    const input = slider.querySelector("input");
    const output = slider.querySelector("output");
    const frames = [...slider.querySelectorAll(".frame")];
    const show = () => {
      const chosen = frames[Number(input.value)];
      for (const frame of frames) frame.hidden = frame !== chosen;
      output.textContent = chosen.dataset.label;
      input.setAttribute("aria-valuetext", chosen.dataset.label);
    };
    slider.querySelector(".control").hidden = false;
    slider.classList.add("moving");
    // A browser that goes back to a page may restore the input's value without an event.
    window.addEventListener("pageshow", show);
    input.addEventListener("input", show);
    show();
  }
});
