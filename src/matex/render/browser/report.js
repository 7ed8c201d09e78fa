// Pages of explanations: the pictures of a film and its maps become the film component.
// Without this script the pages are complete in pictures.
import { FilmView, link } from "./film.js";
import { decodeGrid } from "./maps.js";

const KEEP = "Drag pans, right drag windows; Ctrl and the wheel, or + and -, zoom. Hold space for the film alone.";

function enhance(viewer) {
  const data = JSON.parse(viewer.querySelector(".film-data").textContent);
  const stage = viewer.querySelector(".stage"), picture = stage.querySelector(".film");
  const host = document.createElement("div");
  host.className = "film-host";
  stage.before(host);
  const view = new FilmView(host, { label: picture.alt, wheel: "focus", hint: KEEP, grey: false, dashed: true });
  view.stage.style.aspectRatio = `${data.film.width} / ${data.film.height}`;
  view.setFilm(picture, data.film, data.palettes);
  view.setBoxes(data.boxes.map(([x0, y0, x1, y1]) =>
    [x0 / data.film.width, y0 / data.film.height, x1 / data.film.width, y1 / data.film.height]));
  const maps = data.maps.map((map) => ({ ...map, grid: decodeGrid(map.grid) }));
  const picks = [...viewer.querySelectorAll(".picks input")];
  const pick = () => view.setMap(maps[picks.findIndex((input) => input.checked)] ?? null);
  for (const input of picks) input.addEventListener("change", pick);
  const slider = viewer.querySelector(".slider");
  slider.hidden = false;
  slider.querySelector("input").addEventListener("input", (event) => view.setLook({ opacity: Number(event.target.value) }));
  stage.hidden = true;
  viewer.hidden = false;
  pick();
  return { view, film: data.film.sha256 };
}

addEventListener("load", () => { // by then the pictures are decoded
  const shown = [...document.querySelectorAll(".viewer")].map(enhance);
  for (const film of new Set(shown.map((one) => one.film))) {
    link(shown.filter((one) => one.film === film).map((one) => one.view));
  }
});
