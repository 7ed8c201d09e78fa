// The page: one state, and what happens when a person changes it.
import { get, picture, post, run, upload } from "./api.js";
import { Comparison } from "./compare.js";
import { byId, element, fixed, say, setTheme, signed } from "./dom.js";
import { Keep } from "./keep.js";
import { linkedState, restore } from "./link.js";
import { ShownMap, drawBar, mapControls } from "./live.js";
import { explainMentions, listSentences, underline } from "./phrase.js";
import { Playback } from "./playback.js";
import { Questions } from "./question.js";
import { Running } from "./running.js";
import { OtherScore } from "./score.js";
import { FilmSettings } from "./settings.js";
import { Stage } from "./stage.js";
import { Words } from "./words.js";
import { drawYardstick, judged } from "./yardstick.js";

const HINT = "Read values under the cursor. Drag pans, right drag windows, wheel zooms, space hides the map.";

class Viewer {
  constructor(facts) {
    this.facts = facts;
    this.look = { opacity: 1, threshold: 0, palette: "inferno", lines: true, outline: false };
    this.stage = new Stage(byId("films"), facts.palettes);
    this.comparison = new Comparison(byId("panel-compare"), this);
    this.film = null;
    this.shown = null; // ShownMap of the newest explanation
    this.running = new Running(byId("progress"));
    this.questions = new Questions(this);
    this.words = new Words(this);
    this.keep = new Keep(this);
    this.settings = new FilmSettings(this);
    this.score = new OtherScore(this);
    this.playback = new Playback(this);
  }

  // ---------------------------------------------------------------------------------------------------------- start

  build() {
    const { films, methods, models } = this.facts;
    fill(byId("bundled"), [["", "choose a bundled film"], ...films.map((film) => [film.name, film.name])]);
    fill(byId("model"), models.map((name) => [name, name]));
    fill(byId("method"), methods.map((method) => [method.name, method.slow ? `${method.name} (slow)` : method.name]));
    for (const option of byId("method").options) {
      const reason = this.facts.refusals[option.value];
      option.disabled = reason !== undefined;
      option.title = reason ?? methods.find((method) => method.name === option.value).summary;
    }
    byId("method").value = "matex";
    this.words.build();
    this.keep.build();
    this.settings.build();
    this.score.build();
    this.playback.build();
    this.listen();
  }

  listen() {
    byId("bundled").addEventListener("change", (event) => this.guarded(() => this.openBundled(event.target.value)));
    byId("file").addEventListener("change", (event) => this.guarded(() => this.openFile(event.target.files[0])));
    byId("explain").addEventListener("click", () => this.guarded(() => this.explain()));
    byId("method").addEventListener("change", () => this.guarded(() => this.explain()));
    byId("model").addEventListener("change", () => this.guarded(() =>
      (this.mode === "compare" ? this.comparison.compare() : this.explain())));
    byId("phrase").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.guarded(() => this.explain());
    });
    byId("phrase").addEventListener("input", () => this.readSoon());
    this.questions.listen();
    byId("mode-explain").addEventListener("click", () => this.setMode("explain"));
    byId("mode-compare").addEventListener("click", () => this.setMode("compare"));
    byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
    byId("help-button").addEventListener("click", () => byId("help").showModal());
    this.listenForDrops();
  }

  listenForDrops() {
    const films = byId("films");
    for (const name of ["dragenter", "dragover"]) {
      films.addEventListener(name, (event) => {
        event.preventDefault();
        films.classList.add("dropping");
      });
    }
    films.addEventListener("dragleave", () => films.classList.remove("dropping"));
    films.addEventListener("drop", (event) => {
      event.preventDefault();
      films.classList.remove("dropping");
      if (event.dataTransfer.files.length) this.guarded(() => this.openFile(event.dataTransfer.files[0]));
    });
  }

  // ---------------------------------------------------------------------------------------------------------- films

  async openBundled(name, explain = true) {
    if (!name) return;
    const film = await post("api/films/bundled", { name });
    this.settings.reset();
    await this.show(film, name);
    byId("bundled").value = name;
    byId("phrase").value = this.facts.films.find((one) => one.name === name).phrase;
    await (explain ? this.explain() : this.read());
  }

  async openFile(file) {
    if (!file) return;
    if (file.size > this.facts.limits.upload) throw new Error(`Films may have ${this.facts.limits.upload >> 20} MiB at most.`);
    const film = await upload(file, byId("model").value);
    this.settings.reset();
    await this.show(film, null);
    byId("bundled").value = "";
    byId("file").value = "";
    if (byId("phrase").value.trim()) await this.explain();
  }

  async show(film, bundled) {
    this.running.cancel();
    this.comparison.clear();
    this.film = { ...film, bundled };
    this.image = await picture(film);
    this.settings.show(film);
    this.playback.show(film);
    this.shown = null;
    this.questions.clear();
    this.words.clear();
    this.stage.keep(() => false);
    this.addMain();
    const size = `${film.width} x ${film.height}`;
    byId("film-name").textContent = `${film.axes ? "Sound" : "Film"} ${film.name}, ${size}${film.view ? `, ${film.view}` : ""}. ` +
      `${film.axes ? "Time runs to the right, frequency upwards" : film.sides?.legend ?? "No patient sides on this film"}.`;
    this.drawResult();
    say(`film ${film.name} loaded`);
  }

  get mode() {
    return byId("main").dataset.mode;
  }

  // The tile of the explanation; none while a comparison is on the stage.
  main() {
    return this.stage.tiles.find((tile) => tile.key === "main");
  }

  addMain() {
    const tile = this.stage.tile("main", this.film, this.image, { label: "film with its map", tools: this.film.axes ? ["words"] : ["cover", "words"], hint: HINT });
    tile.view.onbox = (box, tool) => this.guarded(() => (tool === "words" ? this.words.support(box) : this.questions.cover(box)));
    tile.view.setLook(this.look);
    tile.entitle(this.film.name, "no map yet");
    return tile;
  }

  // --------------------------------------------------------------------------------------------------------- phrase

  readSoon() {
    clearTimeout(this.reading);
    this.reading = setTimeout(() => this.guarded(() => this.read()), 150);
  }

  async read() {
    const text = byId("phrase").value;
    const found = await post("api/read", { text, domain: this.film?.domain ?? "chest" });
    if (text !== byId("phrase").value) return;
    underline(byId("understood"), text, text.trim() ? found.mentions : []);
    explainMentions(byId("meanings"), text, found.mentions);
    listSentences(byId("sentences"), found.sentences, (sentence) => this.guarded(() => this.explain(sentence)));
    this.sentences = found.sentences;
  }

  // What is explained: the phrase, or the first sentence of a report that describes a finding.
  phraseToExplain() {
    const text = byId("phrase").value.trim();
    if ((this.sentences?.length ?? 0) < 2) return text;
    return this.sentences.find((sentence) => sentence.claim !== "no finding")?.text ?? text;
  }

  // What is to be computed next, as the page has it now.
  question(text) {
    return { film: this.film.id, model: byId("model").value, text, resize: this.settings.resize };
  }

  // What the shown map is an explanation of; the controls of the page may have moved on since.
  shownQuestion() {
    const { film, model, text, resize } = this.shown.explanation;
    return { film, model, text, resize, ...this.shown.score };
  }

  // -------------------------------------------------------------------------------------------------------- explain

  explain(sentence = null) {
    this.explaining = this.explainNow(sentence);
    return this.explaining;
  }

  async explainNow(sentence) {
    if (!this.film) return;
    clearTimeout(this.reading);
    if (sentence === null) await this.read();
    const text = sentence ?? this.phraseToExplain();
    if (!text && !this.score.ofClass) throw new Error("Type a phrase first, such as “opacity in the left lower lung”.");
    const method = byId("method").value, score = this.score.request;
    const before = this.shown;
    const found = await this.running.compute((signal, onprogress) =>
      run("api/explain", { ...this.question(text), ...score, method, parameters: {} }, onprogress, signal), `${method} …`);
    if (!found || found.film !== this.film.id) return;
    this.shown = new ShownMap(found, score);
    if (before?.live && this.shown.live && before.explanation.model === found.model && before.explanation.method === method) {
      this.shown.settings = { ...before.settings };
    }
    this.questions.clear();
    this.words.clear();
    this.showBefore(before);
    if (this.main()) this.drawResult(); // else setMode draws it on return
    await this.drawYardstick();
  }

  // The explanation of another phrase next to the new one.
  showBefore(before) {
    const { explanation } = this.shown;
    const comparable = before && before.explanation.method === explanation.method &&
      before.explanation.model === explanation.model && before.explanation.text !== explanation.text &&
      before.explanation.score_kind === explanation.score_kind;
    byId("score-before").hidden = !comparable;
    if (comparable) {
      byId("score-before").textContent = `before: ${fixed(before.explanation.score)} for “${before.explanation.text}”, ` +
        `a change of ${signed(explanation.score - before.explanation.score)}`;
    }
    if (!this.main()) return;
    this.stage.keep((tile) => tile.key === "main");
    if (comparable) this.showBeside("before", `before: ${before.explanation.text}`, before.explanation.score, before.map());
  }

  showBeside(key, title, score, map) {
    const tile = this.stage.tile(key, this.film, this.image, { label: title });
    tile.view.setLook(this.look);
    tile.view.setMap(map);
    tile.entitle(title, `score ${fixed(score)}`);
    if (!tile.close) {
      tile.close = element("button", { type: "button", textContent: "Close", "aria-label": `close ${title}` });
      tile.close.addEventListener("click", () => this.stage.remove(key));
      tile.head.append(tile.close);
    }
  }

  drawResult() {
    const cards = ["score-card", "question-card", "words-card", "map-card", "save-card"];
    for (const id of cards) byId(id).hidden = !this.shown;
    byId("notes-card").hidden = !this.shown?.explanation.notes.length;
    this.drawBoxes();
    if (!this.shown) return;
    const { explanation } = this.shown;
    byId("score").textContent = fixed(explanation.score);
    byId("score-kind").textContent = explanation.other_score ? explanation.score_kind
      : `cosine similarity of ${this.film.axes ? "sound" : "film"} and phrase`;
    byId("yardstick-note").hidden = !explanation.other_score;
    const { probability } = explanation; // of models with a sigmoid for each pair
    byId("probability").hidden = !Number.isFinite(probability);
    byId("probability").textContent = `probability ${probability?.toPrecision(3)}, by the model's sigmoid`;
    byId("notes").replaceChildren(...explanation.notes.map((note) => element("li", { textContent: note })));
    this.words.draw(explanation);
    this.drawControls();
    this.redraw();
    say(`score ${fixed(explanation.score)} for ${explanation.text}`);
  }

  drawControls() {
    const hosts = { layers: byId("layers"), look: byId("look"), live: byId("live") };
    mapControls(hosts, this.shown, this.look, this.facts.palettes, () => this.redraw(), (changes) => this.relook(changes));
  }

  // The map on the main tile: that of a word where one is chosen, else the explanation's.
  redraw() {
    const tile = this.main();
    if (!tile || !this.shown) return;
    const { explanation } = this.shown, word = this.words.chosenMap();
    const map = word?.map ?? this.shown.map(), { view } = tile;
    if (word) tile.entitle(`map of “${word.word}”`, `in “${explanation.text}”, ${map.name}`);
    else tile.entitle(explanation.text, `${explanation.method}, score ${fixed(explanation.score)}`);
    view.setMap(map);
    view.setOutline(this.look.outline ? this.shown.outline() : null);
    drawBar(byId("bar"), map, this.look, this.facts.palettes);
    byId("save-note").textContent = this.shown.changed
      ? "The weights were moved: files are computed anew with them." : "Files are those that matex explain writes.";
  }

  relook(changes) {
    Object.assign(this.look, changes);
    for (const tile of this.stage.tiles) tile.view.setLook(changes);
    this.main().view.setOutline(this.look.outline ? this.shown.outline() : null);
    if ("palette" in changes) this.redraw();
  }

  // What was covered, and the place whose words are listed.
  drawBoxes() {
    this.main()?.view.setBoxes([...this.questions.boxes, ...this.words.boxes]);
  }

  // Choose a tool of the main film, or put it away.
  useTool(name, instruction) {
    const { view } = this.main();
    view.setTool(view.tool === name ? "pan" : name);
    for (const [tool, button] of [["cover", "cover"], ["words", "words-box"]]) {
      byId(button).setAttribute("aria-pressed", String(view.tool === tool));
    }
    if (view.tool !== name) return;
    say(instruction);
    view.stage.focus();
  }

  async drawYardstick() {
    const { shown } = this;
    byId("yardstick").replaceChildren();
    byId("yardstick-words").replaceChildren();
    const rows = await post("api/yardstick", this.shownQuestion());
    if (this.shown !== shown) return;
    drawYardstick(byId("yardstick"), rows);
    byId("yardstick-words").replaceChildren(...judged(rows));
  }

  // ---------------------------------------------------------------------------------------------------------- modes

  setMode(mode) {
    byId("main").dataset.mode = mode;
    for (const name of ["explain", "compare"]) {
      byId(`mode-${name}`).setAttribute("aria-pressed", String(name === mode));
      byId(`panel-${name}`).hidden = name !== mode;
    }
    if (mode === "compare") this.comparison.show();
    else if (this.film) {
      this.stage.keep(() => false);
      this.addMain();
      this.drawResult();
      if (this.shown && this.shown.explanation.model !== byId("model").value) this.guarded(() => this.explain());
    }
  }

  // --------------------------------------------------------------------------------------------------------- errors

  async guarded(action) {
    const shown = byId("error");
    shown.hidden = true;
    try {
      await action();
    } catch (error) {
      if (error.name === "AbortError") return;
      shown.textContent = error.message;
      shown.hidden = false;
    }
  }
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, label]) => element("option", { value, textContent: label })));
}

const viewer = new Viewer(await get("api/start"));
viewer.build();
await viewer.guarded(() => restore(viewer, linkedState()));
document.documentElement.dataset.ready = "yes";
