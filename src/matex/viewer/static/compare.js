// Comparison: up to six methods or phrases side by side on one film.
import { post, run, saveFrom } from "./api.js";
import { choices, element, fixed } from "./dom.js";
import { ShownMap } from "./live.js";
import { interpolate } from "./maps.js";
import { Running } from "./running.js";

const MOST = 6;
const LATTICE = 160; // points per side on which two maps are subtracted

export class Comparison {
  constructor(host, viewer) {
    this.host = host;
    this.viewer = viewer;
    this.kind = "methods";
    this.results = []; // {key, title, shown}
    this.pair = null; // keys of two maps whose difference is shown
    this.running = new Running(element("div", { className: "progress", hidden: true }));
  }

  build() {
    const { facts } = this.viewer;
    this.kinds = element("div", { role: "radiogroup", "aria-label": "what is compared" });
    this.methods = element("div", { className: "options", role: "group", "aria-label": "methods, up to six" },
      ...facts.methods.filter((method) => !(method.name in facts.refusals)).map((method) => {
        const box = element("input", { type: "checkbox", value: method.name,
          checked: ["matex", "grad-eclip", "legrad", "rollout"].includes(method.name) });
        return element("label", { title: method.summary, className: method.slow ? "slow" : "" }, box, method.name);
      }));
    this.phrases = element("textarea", { rows: 6, "aria-label": "phrases, one a line, up to six", spellcheck: false });
    this.go = element("button", { type: "button", className: "main", textContent: "Compare" });
    this.go.addEventListener("click", () => this.viewer.guarded(() => this.compare()));
    this.message = element("p", { className: "quiet" });
    this.error = element("p", { className: "error", hidden: true, role: "alert" });
    this.result = element("div");
    this.host.replaceChildren(element("section", { className: "card" }, element("h2", { textContent: "Compare on this film" }),
      this.kinds, this.methods, this.phrases, element("div", { className: "row" }, this.go), this.running.host, this.message, this.error), this.result);
    this.chooseKind = choices(this.kinds, [{ value: "methods", label: "Methods" }, { value: "phrases", label: "Phrases" }],
      this.kind, (kind) => this.setKind(kind));
    this.setKind(this.kind);
  }

  setKind(kind) {
    this.kind = kind;
    this.methods.hidden = kind !== "methods";
    this.phrases.hidden = kind !== "phrases";
    this.message.textContent = kind === "methods" ? "Methods explain the phrase of the Explain page."
      : "One phrase a line; they are ranked by their scores.";
  }

  show() {
    if (!this.kinds) this.build();
    if (!this.phrases.value) this.phrases.value = suggested(this.viewer.phraseToExplain(), this.viewer.film.domain);
    if (this.results.length) this.draw();
  }

  clear() {
    this.running.cancel();
    this.results = [];
    this.pair = null;
    this.result?.replaceChildren();
  }

  state() {
    return this.kinds ? { kind: this.kind, methods: this.chosenMethods(), phrases: this.phrases.value } : undefined;
  }

  async restore(state) {
    if (!state.kind) return;
    this.chooseKind(state.kind);
    this.phrases.value = state.phrases ?? "";
    for (const box of this.methods.querySelectorAll("input")) box.checked = (state.methods ?? []).includes(box.value);
    await this.compare();
  }

  chosenMethods() {
    return [...this.methods.querySelectorAll("input:checked")].map((box) => box.value);
  }

  wanted() {
    const { viewer } = this;
    if (this.kind === "methods") {
      const text = viewer.phraseToExplain();
      return this.chosenMethods().map((method) => ({ key: method, title: method, text, method }));
    }
    const method = document.getElementById("method").value;
    const phrases = [...new Set(this.phrases.value.split("\n").map((line) => line.trim()).filter(Boolean))];
    return phrases.map((text) => ({ key: text, title: text, text, method }));
  }

  async compare() {
    const wanted = this.wanted();
    if (!wanted.length) throw this.refuse(`Choose at least one of the ${this.kind}.`);
    if (wanted.length > MOST) throw this.refuse(`Choose up to ${MOST}, not ${wanted.length}.`);
    this.error.hidden = true;
    this.clear();
    const done = await this.running.compute((signal, onprogress) => this.compute(wanted, signal, onprogress),
      `computing ${wanted.length} maps …`);
    if (done) await this.drawResult();
  }

  // All maps concurrently, each drawn as it arrives; failures are shown together and do not stop the others.
  async compute(wanted, signal, onprogress) {
    const outcomes = await Promise.allSettled(wanted.map(async (one) => {
      const body = { ...this.viewer.question(one.text), method: one.method, parameters: {} };
      const found = await run("api/explain", body, undefined, signal);
      signal.throwIfAborted();
      this.results = [...this.results, { ...one, shown: new ShownMap(found) }].sort((a, b) =>
        wanted.findIndex((other) => other.key === a.key) - wanted.findIndex((other) => other.key === b.key));
      onprogress({ done: this.results.length, total: wanted.length });
      this.draw();
    }));
    signal.throwIfAborted();
    const failures = outcomes.filter((outcome) => outcome.status === "rejected");
    if (failures.length) this.refuse(failures.map((failure) => failure.reason.message).join(" "));
    return true;
  }

  refuse(message) {
    this.error.textContent = message;
    this.error.hidden = false;
    return new DOMException(message, "AbortError");
  }

  draw() {
    if (this.viewer.mode !== "compare") return; // the stage shows the explanation; show() draws on return
    const { stage, film, image, look } = this.viewer;
    stage.keep(() => false);
    this.results.forEach(({ key, title, shown }, i) => {
      const tile = stage.tile(key, film, image, { label: title, hint: " " });
      tile.view.setLook(look);
      tile.view.setMap(shown.map());
      tile.entitle(`${i + 1}. ${title}`, `score ${fixed(shown.explanation.score)}`);
    });
    if (this.pair) this.drawDifference();
  }

  async drawResult() {
    const { results } = this;
    const parts = [];
    if (this.kind === "phrases" && results.length > 1) parts.push(this.ranking());
    if (results.length > 1) parts.push(await this.agreement(), this.difference());
    if (this.results !== results) return; // cleared meanwhile
    parts.push(this.exports());
    this.result.replaceChildren(...parts.map(([title, ...content]) =>
      element("section", { className: "card" }, element("h2", { textContent: title }), ...content)));
  }

  ranking() {
    const sorted = [...this.results].sort((a, b) => b.shown.explanation.score - a.shown.explanation.score);
    const low = Math.min(0, sorted.at(-1).shown.explanation.score), high = sorted[0].shown.explanation.score;
    return ["Phrases by score", element("ol", { className: "ranking" }, ...sorted.map(({ title, shown }) => {
      const { score } = shown.explanation;
      return element("li", {}, element("span", { textContent: title }), element("b", { textContent: fixed(score) }),
        element("progress", { max: 1, value: (score - low) / (high - low || 1), "aria-label": title }));
    }))];
  }

  async agreement() {
    const explanations = this.results.map(({ shown }) => shown.explanation.id);
    const { likeness, stays } = await post("api/agreement", { explanations });
    const names = this.results.map(({ title }) => title);
    const table = element("table", {}, element("thead", {}, element("tr", {}, element("th", { textContent: "" }),
      ...names.map((name, i) => element("th", { scope: "col", title: name, textContent: String(i + 1) })))));
    const body = element("tbody");
    names.forEach((name, i) => body.append(element("tr", {}, element("th", { scope: "row", textContent: `${i + 1}. ${name}` }),
      ...likeness[i].map((value, j) => element("td", { textContent: value === null ? "–" : value.toFixed(2),
        title: stays[i][j] === null ? "constant map" : `${Math.round(100 * stays[i][j])} % of the highest tenth in common` })))));
    table.append(body);
    return ["Agreement", element("div", { className: "matrix", tabIndex: 0, role: "group", "aria-label": "agreement" }, table),
      element("p", { className: "quiet", textContent: "Rank correlation of the maps; the tip of a cell says how much of the highest tenth is shared." })];
  }

  difference() {
    const options = () => this.results.map(({ key, title }) => element("option", { value: key, textContent: title }));
    const first = element("select", { "aria-label": "map" }, ...options());
    const second = element("select", { "aria-label": "minus map" }, ...options());
    second.selectedIndex = 1;
    const button = element("button", { type: "button", textContent: this.pair ? "Hide" : "Show" });
    button.addEventListener("click", () => {
      this.pair = this.pair ? null : [first.value, second.value];
      button.textContent = this.pair ? "Hide" : "Show";
      this.draw();
    });
    return ["Difference of two maps", element("div", { className: "row" }, first, " − ", second, button),
      element("p", { className: "quiet", textContent: "Each scaled to [0, 1]. Amber: the first is higher; blue: the second." })];
  }

  drawDifference() {
    const { stage, film, image, look } = this.viewer;
    const [first, second] = this.pair.map((key) => this.results.find((result) => result.key === key));
    const tile = stage.tile("difference", film, image, { label: "difference" });
    tile.view.setLook(look);
    tile.view.setMap(subtracted(first.shown.map(), second.shown.map(), film));
    tile.entitle(`${first.title} − ${second.title}`, "difference");
  }

  exports() {
    const buttons = ["png", "svg", "pdf"].map((format) => {
      const button = element("button", { type: "button", textContent: format.toUpperCase() });
      button.dataset.figure = format;
      button.addEventListener("click", () => this.viewer.guarded(() => saveFrom("api/figure",
        { explanations: this.results.map(({ shown }) => shown.explanation.id), format }, `comparison.${format}`)));
      return button;
    });
    return ["One figure for a paper", element("div", { className: "row" }, ...buttons)];
  }
}

// The difference of two maps, each scaled to [0, 1], on a lattice over the film as it lies.
export function subtracted(first, second, film) {
  const unit = ({ grid, placement, range: [low, high] }) => interpolate(grid, placement, LATTICE, LATTICE)
    .map((value) => (value - low) / (high - low || 1));
  const [one, other] = [unit(first), unit(second)];
  const values = one.map((value, i) => value - other[i]);
  const known = values.filter(Number.isFinite);
  const side = [LATTICE, LATTICE];
  const placement = { original: [film.height, film.width], resized: side, offset: [0, 0], model: side, patch: [1, 1],
    turns: 0, mirrored: false };
  return { grid: { rows: LATTICE, columns: LATTICE, values }, placement, name: "difference",
    range: [Math.min(-1e-6, ...known), Math.max(1e-6, ...known)] };
}

function suggested(text, domain) {
  const swapped = text.replace(/\b(left|right)\b/gi, (word) => (word.toLowerCase() === "left" ? "right" : "left"));
  const findings = domain === "chest" ? ["clear lungs", "pleural effusion", "pneumothorax"] : [];
  const lines = [text, swapped === text ? null : swapped, ...findings];
  return lines.filter(Boolean).join("\n");
}
