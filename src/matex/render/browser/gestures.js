// Pointer and keys on a film: pan, window and level, zoom, boxes, the reading point.

const FITTED = { zoom: 1, x: 0.5, y: 0.5 };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const READING_STEP = 12; // CSS pixels

export class Gestures {
  constructor(view) {
    this.view = view;
    this.drag = null;
    this.first = null; // corner of a box that is drawn by keys
    const { stage } = view;
    stage.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.pressed(event));
    stage.addEventListener("pointermove", (event) => this.moved(event));
    stage.addEventListener("pointerup", () => this.released());
    stage.addEventListener("pointercancel", () => { this.drag = null; });
    stage.addEventListener("pointerleave", () => { if (!this.drag) view.setPoint(null); });
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("dblclick", () => view.setView(FITTED));
    stage.addEventListener("keydown", (event) => this.typed(event));
    stage.addEventListener("keyup", (event) => { if (event.key === " ") view.setLookEverywhere({ hidden: false }); });
  }

  wheeled(event) {
    const { view } = this;
    const wanted = view.options.wheel === "always" || event.ctrlKey || view.stage.matches(":focus");
    if (!wanted || !view.film) return;
    event.preventDefault();
    view.zoomBy(Math.exp(-event.deltaY / 400), view.fractions(event));
  }

  pressed(event) {
    const { view } = this;
    if (!view.film) return;
    view.stage.focus({ preventScroll: true });
    view.stage.setPointerCapture(event.pointerId);
    const tool = event.button === 2 || event.shiftKey ? "window" : view.tool;
    this.drag = { tool, x: event.clientX, y: event.clientY, view: { ...view.view }, window: { ...view.window },
      from: view.fractions(event) };
  }

  moved(event) {
    const { view, drag } = this;
    if (!view.film) return;
    if (!drag) {
      view.setPoint(view.fractions(event));
      return;
    }
    const across = event.clientX - drag.x, down = event.clientY - drag.y;
    if (drag.tool === "window") {
      view.setWindow({ level: drag.window.level + down / 2, width: Math.max(2, drag.window.width + across) });
    } else if (drag.tool === "pan") {
      const { scale } = view.frame();
      view.setView({ ...drag.view, x: drag.view.x - across / (view.film.width * scale),
        y: drag.view.y - down / (view.film.height * scale) });
    } else {
      view.drawn = spanned(drag.from, view.fractions(event));
      view.draw("marks");
    }
  }

  released() {
    const { view } = this;
    const { drawn } = view;
    this.drag = null;
    if (drawn && drawn[2] - drawn[0] > 0.005 && drawn[3] - drawn[1] > 0.005) view.onbox?.(drawn, view.tool);
    view.drawn = null;
    view.draw("marks");
  }

  typed(event) {
    const { view } = this;
    if (!view.film || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = ARROWS[event.key];
    if (step) this.stepped(step, event.shiftKey);
    else {
      const action = this.actions()[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!action) return;
      action();
    }
    event.preventDefault();
  }

  actions() {
    const { view } = this;
    return {
      "+": () => view.zoomBy(1.25), "=": () => view.zoomBy(1.25), "-": () => view.zoomBy(0.8),
      "0": () => view.setView(FITTED),
      i: () => view.invert(), m: () => view.toggleMap(), w: () => view.setWindow({ level: 127.5, width: 255 }),
      " ": () => view.setLookEverywhere({ hidden: true }),
      Enter: () => this.corner(), Escape: () => { this.first = null; view.setPoint(null); },
    };
  }

  // Arrows pan; with Shift they move the reading point.
  stepped([across, down], reading) {
    const { view } = this;
    if (reading) {
      const { scale } = view.frame();
      const [x, y] = view.point ?? [view.view.x, view.view.y];
      view.setPoint([clamp(x + (across * READING_STEP) / (view.film.width * scale), 0, 1),
        clamp(y + (down * READING_STEP) / (view.film.height * scale), 0, 1)], true);
    } else {
      view.setView({ ...view.view, x: view.view.x + across * 0.08 / view.view.zoom,
        y: view.view.y + down * 0.08 / view.view.zoom });
    }
  }

  // Draw a box without a pointer: Enter at one corner, Enter at the other.
  corner() {
    const { view } = this;
    if (!view.point || !view.options.tools.includes(view.tool)) return;
    if (!this.first) {
      this.first = view.point;
      view.spoken.textContent = "first corner; move the reading point and press Enter again";
    } else {
      view.onbox?.(spanned(this.first, view.point), view.tool);
      this.first = null;
    }
  }
}

// The box between two corners, clipped to the film.
function spanned(from, to) {
  const edge = (i, pick) => clamp(pick(from[i], to[i]), 0, 1);
  return [edge(0, Math.min), edge(1, Math.min), edge(0, Math.max), edge(1, Math.max)];
}

export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
