// The films on the page: tiles with a title and a linked film each.
import { FilmView, link } from "./film.js";
import { element } from "./dom.js";

const COLUMNS = [1, 1, 2, 3, 2, 3, 3, 4];

export class Stage {
  constructor(host, palettes) {
    this.host = host;
    this.palettes = palettes;
    this.tiles = [];
  }

  // A tile with the given key, made when it is missing; film and picture as FilmView.setFilm takes them.
  tile(key, film, picture, options = {}) {
    let tile = this.tiles.find((one) => one.key === key);
    if (!tile) {
      tile = makeTile(key, options);
      this.host.append(tile.element);
      this.tiles.push(tile);
      this.arrange();
      const other = this.tiles[0].view;
      if (other !== tile.view && other.film) {
        tile.view.look = { ...other.look };
        tile.view.window = { ...other.window };
        tile.view.inverted = other.inverted;
        tile.startView = { ...other.view };
      }
    }
    if (tile.film !== film) {
      tile.film = film;
      tile.view.setFilm(picture, film, this.palettes);
      if (tile.startView) tile.view.setView(tile.startView, true);
      tile.startView = null;
    }
    return tile;
  }

  remove(key) {
    this.keep((tile) => tile.key !== key);
  }

  // Only the tiles for which the test holds stay.
  keep(test) {
    for (const tile of this.tiles) if (!test(tile)) tile.element.remove();
    this.tiles = this.tiles.filter(test);
    this.arrange();
  }

  arrange() {
    this.host.style.setProperty("--columns", COLUMNS[this.tiles.length] ?? 4);
    this.host.toggleAttribute("data-many", this.tiles.length > 2);
    document.getElementById("main").dataset.films = this.tiles.length;
    link(this.tiles.map((tile) => tile.view));
  }
}

function makeTile(key, { label = "film", tools = [], hint = "" }) {
  const title = element("b"), facts = element("span"), head = element("div", { className: "tile-head" }, title, facts);
  const host = element("div", { className: "tile" }, head);
  host.dataset.key = key;
  const view = new FilmView(host, { label, tools, hint });
  return { key, element: host, head, view, film: null,
    entitle(name, about) {
      title.textContent = name;
      title.title = name;
      facts.textContent = about;
    } };
}
