"use strict";
for (const viewer of document.querySelectorAll(".viewer")) {
  const slider = viewer.querySelector(".slider");
  const range = slider.querySelector("input");
  slider.hidden = false;
  range.addEventListener("input", () => viewer.style.setProperty("--opacity", range.value));
}
addEventListener("beforeprint", () => {
  for (const range of document.querySelectorAll(".slider input")) {
    range.value = "1";
    range.dispatchEvent(new Event("input"));
  }
});
