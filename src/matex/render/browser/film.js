// The film component: a film and its map on canvases, with zoom, pan, window and level, and values under the cursor.
// The viewer, the reports and notebooks share it.
import { valueOn } from "./axes.js";
import { Gestures, clamp } from "./gestures.js";
import { GreyPicture } from "./grey.js";
import { Scale, colourTable, paint, palette, placeName, valueAt } from "./maps.js";
import { drawMarks, inside } from "./marks.js";

const ZOOMS = [1, 32]; // smallest and largest, 1 fits the film into its frame
const KEYS = "+ and - zoom, arrows pan, 0 fits, I inverts, M hides the map, W resets the window, Shift and arrows " +
  "move the reading point";

// Link films: zoom, pan, window and reading point of one are those of all.
export function link(views) {
  for (const view of views) view.linked = views.filter((other) => other !== view);
}

export class FilmView {
  // host: element that is filled. options: label, tools (names in addition to "pan" and "window"), wheel ("always", or "focus"
  // where a page must scroll), hint (shown where nothing is read), grey (whether grey values are read: not of a JPEG),
  // dashed (boxes: those of readers, not of the person at the screen).
  constructor(host, options = {}) {
    this.host = host;
    host.filmView = this; // for scripts of the page, such as the tests
    this.options = { label: "film", tools: [], wheel: "always", grey: true, ...options };
    this.linked = [];
    this.view = { zoom: 1, x: 0.5, y: 0.5 };
    this.window = { level: 127.5, width: 255 };
    this.inverted = false;
    this.map = null; // {grid, placement, scale, name}
    this.look = { opacity: 1, threshold: 0, palette: "inferno", lines: true, hidden: false };
    this.outline = null; // segments in fractions, drawn dashed
    this.boxes = []; // [x0, y0, x1, y1] in fractions
    this.point = null; // reading point, fractions
    this.playhead = null; // the moment of a sound that is heard, fraction of the width
    this.tool = "pan";
    this.dirty = new Set();
    this.onbox = null; // called with a box that was drawn
    this.build();
    this.gestures = new Gestures(this);
    new ResizeObserver(() => this.draw("film", "map", "marks")).observe(this.stage);
  }

  // ------------------------------------------------------------------------------------------------------- contents

  // picture: an image that has loaded; film: as film_data describes it; palettes: anchors by name.
  setFilm(picture, film, palettes) {
    this.picture = new GreyPicture(picture);
    this.film = film;
    this.palettes = Object.fromEntries(Object.entries(palettes).map(([name, anchors]) => [name, palette(anchors)]));
    this.pixels = null;
    this.lines = null;
    this.view = { zoom: 1, x: 0.5, y: 0.5 };
    this.draw("film", "map", "marks");
  }

  // map: {grid, placement, range, name, format?}, or null for the film alone.
  setMap(map) {
    this.map = map && { ...map, scale: new Scale(...map.range) };
    this.lines = null;
    this.draw("map", "marks");
    this.read();
  }

  setLook(changes) {
    Object.assign(this.look, changes);
    this.maps.style.opacity = this.look.hidden ? 0 : this.look.opacity;
    this.element.classList.toggle("without-map", this.look.hidden);
    this.buttons.map?.setAttribute("aria-pressed", String(!this.look.hidden));
    this.draw("map", "marks");
  }

  setOutline(outline) {
    this.outline = outline;
    this.draw("marks");
  }

  setPlayhead(place) {
    if (place === this.playhead) return;
    this.playhead = place;
    this.draw("marks");
  }

  setBoxes(boxes) {
    this.boxes = boxes;
    this.draw("marks");
  }

  // ------------------------------------------------------------------------------------------------------- building

  build() {
    const make = (name, className, parent) => {
      const element = document.createElement(name);
      element.className = className;
      parent.append(element);
      return element;
    };
    this.element = make("div", "film-view", this.host);
    this.stage = make("div", "film-stage", this.element);
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "group");
    this.stage.setAttribute("aria-label", `${this.options.label}. ${KEYS}`);
    this.films = make("canvas", "film-canvas", this.stage);
    this.films.setAttribute("role", "img");
    this.films.setAttribute("aria-label", this.options.label);
    this.maps = make("canvas", "film-canvas", this.stage);
    this.marks = make("canvas", "film-canvas", this.stage);
    for (const canvas of [this.maps, this.marks]) canvas.setAttribute("aria-hidden", "true");
    this.tools = make("div", "film-tools", this.element);
    this.tools.setAttribute("role", "toolbar");
    this.tools.setAttribute("aria-label", `tools of ${this.options.label}`);
    this.readout = make("p", "film-readout", this.element);
    this.spoken = make("p", "film-spoken", this.element);
    this.spoken.setAttribute("aria-live", "polite");
    this.buttons = {};
    for (const name of ["pan", "window", ...this.options.tools]) {
      this.button(name, TOOLS[name].label, TOOLS[name].title, () => this.setTool(name));
    }
    this.button("in", "+", "zoom in (+)", () => this.zoomBy(1.5));
    this.button("out", "−", "zoom out (-)", () => this.zoomBy(1 / 1.5));
    this.button("fit", "Fit", "fit the film (0)", () => this.setView({ zoom: 1, x: 0.5, y: 0.5 }));
    this.button("invert", "Invert", "invert the film (I)", () => this.invert());
    this.button("map", "Map", "show or hide the map (M, or hold the space bar)", () => this.toggleMap());
    this.buttons.map.setAttribute("aria-pressed", "true");
    this.buttons.invert.setAttribute("aria-pressed", "false");
    this.setTool("pan");
    this.read();
  }

  button(name, label, title, action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.title = title;
    button.dataset.tool = name;
    if (label.length < 2) button.setAttribute("aria-label", title);
    button.addEventListener("click", action);
    this.buttons[name] = button;
    this.tools.append(button);
  }

  setTool(name) {
    this.tool = name;
    this.stage.dataset.tool = name;
    for (const other of Object.keys(TOOLS)) this.buttons[other]?.setAttribute("aria-pressed", String(other === name));
  }

  // ----------------------------------------------------------------------------------------------------------- state

  zoomBy(factor, at = [this.view.x, this.view.y]) {
    const zoom = clamp(this.view.zoom * factor, ...ZOOMS);
    const kept = this.view.zoom / zoom; // the point under the cursor stays where it is
    this.setView({ zoom, x: at[0] + (this.view.x - at[0]) * kept, y: at[1] + (this.view.y - at[1]) * kept });
  }

  setView(view, silent = false) {
    const room = 0.5 / view.zoom;
    this.view = view.zoom <= 1 ? { zoom: 1, x: 0.5, y: 0.5 }
      : { zoom: view.zoom, x: clamp(view.x, Math.min(room, 0.5), Math.max(1 - room, 0.5)),
        y: clamp(view.y, Math.min(room, 0.5), Math.max(1 - room, 0.5)) };
    this.draw("film", "map", "marks");
    if (!silent) for (const other of this.linked) other.setView(this.view, true);
    this.changed();
  }

  setWindow(window, silent = false) {
    this.window = window;
    this.pixels = null;
    this.draw("film", "marks");
    if (!silent) for (const other of this.linked) other.setWindow(window, true);
    this.changed();
  }

  invert() {
    for (const view of [this, ...this.linked]) {
      view.inverted = !view.inverted;
      view.pixels = null;
      view.buttons.invert.setAttribute("aria-pressed", String(view.inverted));
      view.draw("film");
    }
    this.changed();
  }

  toggleMap() {
    this.setLookEverywhere({ hidden: !this.look.hidden });
  }

  setLookEverywhere(changes) {
    for (const view of [this, ...this.linked]) view.setLook(changes);
  }

  setPoint(point, spoken = false, silent = false) {
    this.point = point;
    this.draw("marks");
    this.read(spoken);
    if (!silent) for (const other of this.linked) other.setPoint(point, false, true);
  }

  changed() {
    this.host.dispatchEvent(new CustomEvent("filmchange", { bubbles: true }));
  }

  // The value and the place at the reading point, in words.
  read(spoken = false) {
    const text = this.film && this.point && inside(this.point) ? this.description(...this.point) : "";
    this.readout.textContent = text || this.options.hint || "Move over the film to read values.";
    if (spoken) this.spoken.textContent = text;
  }

  description(x, y) {
    const parts = [placeName(this.film, x, y)];
    if (parts[0]) parts[0] = `≈ ${parts[0]}`;
    if (this.map) {
      const value = valueAt(this.map.grid, this.map.placement, x, y);
      const { scale } = this.map;
      if (Number.isNaN(value)) parts.push("not seen by the model");
      else if (scale.constant) parts.push("constant map");
      else parts.push(`map ${scale.format(value)} (${Math.round(100 * scale.strength(value))} % of its strongest)`);
    }
    parts.push(this.where(x, y));
    if (this.options.grey) parts.push(`grey ${this.picture.at(x, y)}`);
    return parts.filter(Boolean).join(" · ");
  }

  // A point in pixels of the film, or in seconds and Hz.
  where(x, y) {
    const { axes, width, height } = this.film;
    if (!axes) return `x ${Math.floor(x * width)}, y ${Math.floor(y * height)}`;
    const parts = [];
    if (axes.seconds.length > 1) parts.push(`${valueOn(axes.seconds, x).toFixed(2)} s`);
    if (axes.hertz.length > 1) parts.push(`≈ ${Number(valueOn(axes.hertz, y, true).toPrecision(2))} Hz`);
    return parts.join(", ");
  }

  // -------------------------------------------------------------------------------------------------------- drawing

  // Where the film lies in the canvas, CSS pixels; scale is CSS pixels per pixel of the film.
  frame() {
    const width = this.stage.clientWidth, height = this.stage.clientHeight;
    const scale = Math.min(width / this.film.width, height / this.film.height) * this.view.zoom;
    return { width, height, scale, left: width / 2 - this.view.x * this.film.width * scale,
      top: height / 2 - this.view.y * this.film.height * scale };
  }

  fractions(event) {
    const bounds = this.stage.getBoundingClientRect();
    const { scale, left, top } = this.frame();
    return [(event.clientX - bounds.left - left) / (this.film.width * scale),
      (event.clientY - bounds.top - top) / (this.film.height * scale)];
  }

  draw(...layers) {
    for (const layer of layers) this.dirty.add(layer);
    if (this.frameRequest || !this.film) return;
    this.frameRequest = requestAnimationFrame(() => {
      this.frameRequest = 0;
      this.drawNow();
    });
  }

  drawNow() {
    if (!this.stage.clientWidth || !this.film) return;
    const start = performance.now();
    const dirty = new Set(this.dirty);
    this.dirty.clear();
    const ratio = window.devicePixelRatio || 1;
    const frame = this.frame();
    for (const canvas of [this.films, this.maps, this.marks]) {
      const width = Math.round(frame.width * ratio), height = Math.round(frame.height * ratio);
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
        for (const layer of ["film", "map", "marks"]) dirty.add(layer);
      }
    }
    if (dirty.has("film")) this.drawFilm(frame, ratio);
    if (dirty.has("map")) this.drawMap(frame, ratio);
    if (dirty.has("marks")) {
      const context = this.marks.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      drawMarks(context, frame, this);
    }
    this.lastDraw = performance.now() - start; // milliseconds of script, for measurements
  }

  drawFilm({ width, height, scale, left, top }, ratio) {
    this.pixels ??= this.picture.windowed(this.window, this.inverted);
    const context = this.films.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.pixels, left, top, this.film.width * scale, this.film.height * scale);
  }

  drawMap({ width, height, scale, left, top }, ratio) {
    const context = this.maps.getContext("2d");
    if (!this.map || this.look.hidden) {
      context.clearRect(0, 0, this.maps.width, this.maps.height);
      return;
    }
    const { grid, placement, scale: colours } = this.map;
    const image = this.image?.width === this.maps.width && this.image.height === this.maps.height ? this.image
      : context.createImageData(this.maps.width, this.maps.height);
    this.image = image;
    const window = [-left / (this.film.width * scale), -top / (this.film.height * scale),
      (width - left) / (this.film.width * scale), (height - top) / (this.film.height * scale)];
    const chosen = this.palettes[colours.signed ? "diverging" : this.look.palette];
    const table = colourTable(chosen, colours.signed, this.look.threshold);
    if (colours.constant) table.fill(0);
    paint(new Uint32Array(image.data.buffer), image.width, image.height, grid, placement, window, colours, table);
    context.putImageData(image, 0, 0);
  }
}

const TOOLS = {
  pan: { label: "Pan", title: "drag to pan" },
  window: { label: "Window", title: "drag up and down for the level, left and right for the window (also with the right button)" },
  words: { label: "Words", title: "drag a box to see which words of the phrase it supports" },
  cover: { label: "Cover", title: "drag a box to cover a region, and see how the score changes" },
};
