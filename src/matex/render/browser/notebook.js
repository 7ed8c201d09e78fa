// An explanation in a notebook: the film component in the place of the picture, apart from the notebook's own styles.
import { FilmView } from "./film.js";
import { decodeGrid } from "./maps.js";

const HEIGHT = 640; // CSS pixels of a film

function make(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

// Buttons for the maps, the final one chosen.
function buttons(names, onchoice) {
  const host = make("div", "film-tools");
  host.setAttribute("role", "group");
  host.setAttribute("aria-label", "which map");
  const made = names.map((name, i) => {
    const button = make("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => {
      made.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      onchoice(i);
    });
    button.setAttribute("aria-pressed", String(i === 0));
    return button;
  });
  host.append(...made);
  return host;
}

async function show(source) {
  const data = JSON.parse(source.textContent);
  const figure = source.closest("figure"), still = figure.querySelector("img");
  const picture = new Image();
  picture.src = data.picture;
  await picture.decode();
  const host = document.createElement("div");
  const root = host.attachShadow({ mode: "open" });
  const style = document.createElement("style");
  style.textContent = data.style;
  const film = make("div", "film-host");
  const view = new FilmView(film, { label: still.alt, wheel: "focus", grey: false });
  view.stage.style.aspectRatio = `${data.film.width} / ${data.film.height}`;
  film.style.maxWidth = `${Math.round((HEIGHT * data.film.width) / data.film.height)}px`;
  film.style.margin = "8px 0";
  const maps = data.maps.map((map) => ({ ...map, grid: decodeGrid(map.grid) }));
  const names = [...maps.map((map) => map.name), "Film only"];
  root.append(style, make("p", "film-phrase", data.heading),
    buttons(names, (i) => view.setMap(maps[i] ?? null)), film, make("p", "film-readout", data.words));
  still.before(host);
  still.hidden = true;
  view.setFilm(picture, data.film, data.palettes);
  view.setMap(maps[0]);
}

for (const source of document.querySelectorAll("script.matex-film:not([data-used])")) {
  source.dataset.used = "yes";
  show(source);
}
