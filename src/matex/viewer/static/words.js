// Words and places: the map of one word while it is pointed at, and the words that a place on the film supports.
import { post, run } from "./api.js";
import { byId, element, say } from "./dom.js";
import { decodeGrid } from "./maps.js";
import { Running } from "./running.js";

export class Words {
  constructor(viewer) {
    this.viewer = viewer;
    this.running = new Running(byId("words-progress"));
    this.clear();
  }

  build() {
    const { viewer } = this, { interaction_methods: own, methods, refusals } = viewer.facts;
    const names = [...own, ...methods.filter(({ name, slow }) => !slow && !(name in refusals))];
    byId("words-method").replaceChildren(...names.map(({ name, slow }) =>
      element("option", { value: name, textContent: slow ? `${name} (slow)` : name })));
    byId("words-method").value = "second-order";
    byId("words-method").addEventListener("change", () => viewer.guarded(() => this.changeMethod()));
    byId("words-box").addEventListener("click", () => viewer.useTool("words",
      "drag a box on the film to see which words it supports, or press Enter at two corners"));
  }

  // Forget the maps of another film or phrase.
  clear() {
    this.running.cancel();
    this.pending = null; // promise of the maps
    this.found = null; // {id, method, maps: one for each word, as FilmView takes them}
    this.pointed = this.pinned = null; // numbers of words
    this.box = null;
    byId("words-result").replaceChildren();
  }

  get boxes() {
    return this.box ? [this.box] : [];
  }

  // The word whose map takes the place of the explanation's, or null.
  chosenMap() {
    const number = this.pointed ?? this.pinned;
    return this.found && number !== null ? { word: this.names[number], map: this.found.maps[number] } : null;
  }

  // The words of the phrase with the scores of the explanation.
  draw({ words, method }) {
    this.names = words.map(([word]) => word);
    const scored = words.some(([, score]) => score !== null);
    const largest = Math.max(...words.map(([, score]) => Math.abs(score ?? 0)), 0) || 1;
    this.chips = words.map(([word, score], number) => {
      const chip = element("button", { type: "button", className: "word", textContent: word });
      if (scored) chip.append(element("small", { textContent: score === null ? "undefined" : score.toPrecision(2) }));
      const strength = (Math.abs(score ?? 0) / largest) * 0.42;
      chip.style.background = `rgba(var(${(score ?? 0) >= 0 ? "--plus" : "--minus"}), ${strength.toFixed(2)})`;
      for (const name of ["pointerenter", "focus"]) chip.addEventListener(name, () => this.point(number));
      for (const name of ["pointerleave", "blur"]) chip.addEventListener(name, () => this.point(null));
      chip.addEventListener("click", () => this.pin(number));
      return chip;
    });
    this.markPinned();
    byId("words").replaceChildren(...this.chips);
    byId("words-legend").textContent = (scored ? "Raw attribution. Amber raises the score, blue lowers it."
      : `${method} does not score words.`) + " Point at a word for its own map, on one scale for all words; a click keeps it.";
  }

  point(number) {
    this.pointed = number;
    if (number !== null) this.viewer.guarded(() => this.find());
    this.viewer.redraw();
  }

  pin(number) {
    this.pinned = this.pinned === number ? null : number;
    this.pointed = null;
    this.markPinned();
    if (this.pinned !== null) this.viewer.guarded(() => this.find());
    this.viewer.redraw();
    say(this.pinned === null ? "map of all words" : `map of ${this.names[number]}`);
  }

  markPinned() {
    this.chips.forEach((chip, number) => chip.setAttribute("aria-pressed", String(number === this.pinned)));
  }

  async changeMethod() {
    this.pending = this.found = null;
    if (this.pinned !== null || this.box) await this.find();
    if (this.box) await this.support(this.box);
    this.viewer.redraw();
  }

  // The maps of all words, computed once for each explanation and method.
  async find() {
    const pending = this.pending ??= this.compute();
    try {
      await pending;
    } catch (error) {
      if (this.pending === pending) this.pending = null;
      throw error;
    }
  }

  async compute() {
    const { viewer } = this, { shown } = viewer, method = byId("words-method").value;
    const found = await this.running.compute((signal, onprogress) =>
      run("api/words", { ...viewer.shownQuestion(), method }, onprogress, signal), "maps of the words …");
    if (!found) throw new DOMException("cancelled", "AbortError");
    if (viewer.shown !== shown || byId("words-method").value !== method) return;
    const maps = found.words.map(({ grid, placement, range }) => ({ grid: decodeGrid(grid), placement, range, name: method }));
    this.found = { id: found.id, method, maps };
    viewer.redraw();
  }

  // The words that a box on the film supports.
  async support(box) {
    const { viewer } = this, { shown } = viewer;
    if (!shown) return;
    await this.find();
    const { found } = this;
    if (viewer.shown !== shown || !found) return;
    const { area, words } = await post("api/support", { words: found.id, boxes: [box] });
    if (viewer.shown !== shown || this.found !== found) return;
    this.box = box;
    this.drawSupport(area, words);
    viewer.drawBoxes();
  }

  drawSupport(area, words) {
    const { viewer } = this;
    const percent = (share) => (share === null ? "–" : `${Math.round(100 * share)} %`);
    const rows = words.map(({ word, sum, share }) => element("tr", {}, element("th", { scope: "row", textContent: word }),
      element("td", { textContent: sum === null ? "not seen" : sum.toPrecision(2) }), element("td", { textContent: percent(share) })));
    const heads = ["word", "sum in the box", "share of its map"].map((text) => element("th", { scope: "col", textContent: text }));
    const clear = element("button", { type: "button", textContent: "Remove the box" });
    clear.addEventListener("click", () => {
      this.box = null;
      byId("words-result").replaceChildren();
      viewer.drawBoxes();
    });
    byId("words-result").replaceChildren(
      element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows)),
      element("p", { className: "quiet", textContent: `The box covers ${percent(area)} of the film: a share near that ` +
        `says nothing. ${this.found.method}; positive sums raise the score.` }),
      element("div", { className: "row" }, clear));
    const strongest = words.reduce((best, row) => (row.sum > best.sum ? row : best));
    say(`the box supports ${strongest.word} most`);
  }
}
