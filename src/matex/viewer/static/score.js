// Which score is explained: that of the phrase, that of the phrase rather than another, or that of a class.
import { byId, element } from "./dom.js";

const KINDS = { logit: "its logit", "log-softmax": "its log-probability", margin: "its margin over the next class" };
const FIELDS = ["against", "labels", "of", "classes"];

export class OtherScore {
  constructor(viewer) {
    this.viewer = viewer;
  }

  build() {
    const { viewer } = this, { prompt_sets: sets, class_scores: kinds } = viewer.facts;
    fill("labels", [["", "none"], ...sets.map((name) => [name, name]), ["own", "classes of my own"]]);
    fill("of", kinds.map((kind) => [kind, KINDS[kind] ?? kind]));
    for (const id of FIELDS) {
      byId(id).addEventListener("change", () => {
        if (id === "against" && byId(id).value.trim()) byId("labels").value = "";
        if (id === "labels" && byId(id).value) byId("against").value = "";
        this.draw();
        if (this.complete) viewer.guarded(() => viewer.explain());
      });
    }
    this.draw();
  }

  draw() {
    const labels = byId("labels").value;
    byId("class-settings").hidden = !labels;
    byId("classes").hidden = labels !== "own";
  }

  get classes() {
    return byId("classes").value.split("\n").map((line) => line.trim()).filter(Boolean);
  }

  // Whether what is stated can be explained: classes of one's own are typed after they are chosen.
  get complete() {
    return byId("labels").value !== "own" || this.classes.length > 1;
  }

  // Whether an empty phrase stands for the predicted class.
  get ofClass() {
    return byId("labels").value !== "";
  }

  // Fields of a request.
  get request() {
    const against = byId("against").value.trim(), labels = byId("labels").value;
    if (against) return { against };
    if (!labels) return {};
    return { labels, of: byId("of").value, ...(labels === "own" ? { classes: this.classes } : {}) };
  }

  state() {
    return Object.fromEntries(FIELDS.map((id) => [id, byId(id).value]));
  }

  restore(state = {}) {
    for (const id of FIELDS) if (typeof state[id] === "string") byId(id).value = state[id];
    byId("other-score").open = Boolean(state.against || state.labels);
    this.draw();
  }
}

function fill(id, options) {
  byId(id).replaceChildren(...options.map(([value, label]) => element("option", { value, textContent: label })));
}
