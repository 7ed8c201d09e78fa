// The film component: a film and its map on canvases, with zoom, pan, window and level, and values under the cursor.
// The viewer, the reports and notebooks share it.
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
  // host: element that is filled. options: label, tools (names beside "pan" and "window"), wheel ("always", or "focus"
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
    this.tool = "pan";
    this.dirty = new Set();
    this.onbox = null; // called with a box that was drawn
    this.build();
    this.listen();
  }

  // ------------------------------------------------------------------------------------------------------- contents

  // picture: an image that has loaded; film: as film_data describes it; palettes: anchors by name.
  setFilm(picture, film, palettes) {
    this.picture = picture;
    this.film = film;
    this.palettes = Object.fromEntries(Object.entries(palettes).map(([name, anchors]) => [name, palette(anchors)]));
    this.pixels = null;
    this.lines = null;
    this.view = { zoom: 1, x: 0.5, y: 0.5 };
    this.grey = document.createElement("canvas");
    this.grey.width = picture.naturalWidth ?? picture.width;
    this.grey.height = picture.naturalHeight ?? picture.height;
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

  // --------------------------------------------------------------------------------------------------------- events

  listen() {
    new ResizeObserver(() => this.draw("film", "map", "marks")).observe(this.stage);
    this.stage.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    this.stage.addEventListener("pointerdown", (event) => this.pressed(event));
    this.stage.addEventListener("pointermove", (event) => this.moved(event));
    this.stage.addEventListener("pointerup", () => this.released());
    this.stage.addEventListener("pointercancel", () => { this.drag = null; });
    this.stage.addEventListener("pointerleave", () => { if (!this.drag) this.setPoint(null); });
    this.stage.addEventListener("contextmenu", (event) => event.preventDefault());
    this.stage.addEventListener("dblclick", () => this.setView({ zoom: 1, x: 0.5, y: 0.5 }));
    this.stage.addEventListener("keydown", (event) => this.typed(event));
    this.stage.addEventListener("keyup", (event) => { if (event.key === " ") this.setLookEverywhere({ hidden: false }); });
  }

  wheeled(event) {
    const wanted = this.options.wheel === "always" || event.ctrlKey || this.stage.matches(":focus");
    if (!wanted || !this.film) return;
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY / 400), this.fractions(event));
  }

  pressed(event) {
    if (!this.film) return;
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    const tool = event.button === 2 || event.shiftKey ? "window" : this.tool;
    this.drag = { tool, x: event.clientX, y: event.clientY, view: { ...this.view }, window: { ...this.window },
      from: this.fractions(event) };
  }

  moved(event) {
    if (!this.film) return;
    const drag = this.drag;
    if (!drag) return this.setPoint(this.fractions(event));
    const across = event.clientX - drag.x, down = event.clientY - drag.y;
    if (drag.tool === "window") {
      this.setWindow({ level: drag.window.level + down / 2, width: Math.max(2, drag.window.width + across) });
    } else if (drag.tool === "pan") {
      const { scale } = this.frame();
      this.setView({ ...drag.view, x: drag.view.x - across / (this.film.width * scale),
        y: drag.view.y - down / (this.film.height * scale) });
    } else {
      this.drawn = box(drag.from, this.fractions(event));
      this.draw("marks");
    }
    return undefined;
  }

  released() {
    this.drag = null;
    if (this.drawn && this.drawn[2] - this.drawn[0] > 0.005 && this.drawn[3] - this.drawn[1] > 0.005) {
      this.onbox?.(this.drawn, this.tool);
    }
    this.drawn = null;
    this.draw("marks");
  }

  typed(event) {
    if (!this.film || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const actions = {
      "+": () => this.zoomBy(1.25), "=": () => this.zoomBy(1.25), "-": () => this.zoomBy(0.8),
      "0": () => this.setView({ zoom: 1, x: 0.5, y: 0.5 }),
      i: () => this.invert(), m: () => this.toggleMap(), w: () => this.setWindow({ level: 127.5, width: 255 }),
      " ": () => this.setLookEverywhere({ hidden: true }),
      Enter: () => this.corner(), Escape: () => { this.first = null; this.setPoint(null); },
    };
    if (step && event.shiftKey) {
      const { scale } = this.frame();
      const from = this.point ?? [this.view.x, this.view.y];
      this.setPoint([clamp(from[0] + (step[0] * 12) / (this.film.width * scale), 0, 1),
        clamp(from[1] + (step[1] * 12) / (this.film.height * scale), 0, 1)], true);
    } else if (step) {
      this.setView({ ...this.view, x: this.view.x + step[0] * 0.08 / this.view.zoom,
        y: this.view.y + step[1] * 0.08 / this.view.zoom });
    } else {
      const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!action) return;
      action();
    }
    event.preventDefault();
  }

  // Draw a box without a pointer: Enter at one corner, Enter at the other.
  corner() {
    if (!this.point || !this.options.tools.includes(this.tool)) return;
    if (!this.first) {
      this.first = this.point;
      this.spoken.textContent = "first corner; move the reading point and press Enter again";
    } else {
      this.onbox?.(box(this.first, this.point), this.tool);
      this.first = null;
    }
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
    const [column, row] = [Math.floor(x * this.film.width), Math.floor(y * this.film.height)];
    parts.push(`x ${column}, y ${row}`);
    if (this.options.grey) parts.push(`grey ${this.greyAt(x, y)}`);
    return parts.filter(Boolean).join(" · ");
  }

  greyAt(x, y) {
    this.source ??= sourcePixels(this.picture, this.grey.width, this.grey.height);
    const column = Math.min(Math.floor(x * this.grey.width), this.grey.width - 1);
    const row = Math.min(Math.floor(y * this.grey.height), this.grey.height - 1);
    const at = 4 * (row * this.grey.width + column);
    return this.source.data[at];
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
    if (!this.pixels) this.applyWindow();
    const context = this.films.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.pixels, left, top, this.film.width * scale, this.film.height * scale);
  }

  // The picture with window, level and inversion, at its own resolution.
  applyWindow() {
    const { level, width } = this.window;
    if (!this.inverted && level === 127.5 && width === 255) {
      this.pixels = this.picture;
      return;
    }
    this.source ??= sourcePixels(this.picture, this.grey.width, this.grey.height);
    const table = Uint8ClampedArray.from({ length: 256 }, (_, value) => {
      const shown = ((value - level) / width + 0.5) * 255;
      return this.inverted ? 255 - clamp(shown, 0, 255) : shown;
    });
    const target = new ImageData(this.grey.width, this.grey.height);
    const from = this.source.data, to = target.data;
    for (let i = 0; i < from.length; i += 4) {
      to[i] = table[from[i]];
      to[i + 1] = table[from[i + 1]];
      to[i + 2] = table[from[i + 2]];
      to[i + 3] = 255;
    }
    this.grey.getContext("2d").putImageData(target, 0, 0);
    this.pixels = this.grey;
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
  cover: { label: "Cover", title: "drag a box to cover a region, and see how the score changes" },
};

function sourcePixels(picture, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, width, height);
}

function box(from, to) {
  const edge = (i, pick) => clamp(pick(from[i], to[i]), 0, 1);
  return [edge(0, Math.min), edge(1, Math.min), edge(0, Math.max), edge(1, Math.max)];
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
