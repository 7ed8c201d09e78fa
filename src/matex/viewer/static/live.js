// The map as it is shown: MATEX fused here while a slider moves, or the map of another method, with its look.
import { Scale, contours, decodeGrid, decodeLive, fuse, liveTerms, mapRange, palette, transformed } from "./maps.js";
import { checkbox, choices, element, slider } from "./dom.js";

const WEIGHTS = [
  { name: "alpha", label: "α gradient", low: 0, high: 1, step: 0.01 },
  { name: "beta", label: "β attention flow", low: 0, high: 1, step: 0.01 },
  { name: "gamma", label: "γ consistent", low: 0, high: 1, step: 0.01 },
  { name: "delta", label: "δ under the prior", low: 0, high: 1, step: 0.01 },
  { name: "prior_strength", label: "λ prior strength", low: 1, high: 6, step: 0.1 },
  { name: "temperature", label: "τ of the blocks", low: 0, high: 4, step: 0.05 },
];

// An explanation with its grids decoded, ready to be shown.
export class ShownMap {
  // score: fields of the request that chose the explained score.
  constructor(explanation, score = {}) {
    this.explanation = explanation;
    this.score = score;
    this.placement = explanation.map.placement;
    this.final = decodeGrid(explanation.map.grid);
    this.layers = explanation.layers.map((layer) => ({ ...layer, decoded: decodeGrid(layer.grid) }));
    this.live = explanation.live && decodeLive(explanation.live);
    const wanted = explanation.parameters;
    this.settings = Object.fromEntries(WEIGHTS.map(({ name }) => [name, wanted[name]]));
    this.layer = "map";
    this.magnitude = false;
  }

  get changed() {
    return this.live !== null && Object.entries(this.settings).some(([name, value]) => value !== this.explanation.parameters[name]);
  }

  // Parameters of the method as the sliders have them.
  get parameters() {
    return this.live ? { ...this.explanation.parameters, ...this.settings } : this.explanation.parameters;
  }

  grid() {
    if (this.layer !== "map") {
      const layer = this.layers[Number(this.layer)];
      if (this.live && layer.term) return liveTerms(this.live, this.settings)[layer.term];
      if (this.live?.prior) {
        return transformed(this.live.prior, (value) => 1 + (this.settings.prior_strength - 1) * value);
      }
      return layer.decoded;
    }
    return this.live && this.changed ? fuse(this.live, this.settings) : this.final;
  }

  // As FilmView.setMap takes it.
  map() {
    let grid = this.grid();
    if (this.magnitude) grid = transformed(grid, Math.abs);
    return { grid, placement: this.placement, range: mapRange(grid, this.placement), name: this.explanation.method };
  }

  // Where the prior of the phrase lies, as line segments; null without one.
  outline() {
    const prior = this.layers.find((layer) => layer.term === null);
    if (!prior) return null;
    const scale = new Scale(...prior.range);
    return scale.constant ? null : contours(prior.decoded, this.placement, (value) => scale.strength(value), [0.5])[0];
  }
}

// The controls of a map. onmap: the values changed; onlook: only how they are drawn.
export function mapControls(hosts, shown, look, palettes, onmap, onlook) {
  drawLayers(hosts.layers, shown, onmap);
  drawLook(hosts.look, shown, look, palettes, onmap, onlook);
  drawLive(hosts.live, shown, onmap);
}

function drawLayers(host, shown, onmap) {
  const options = [{ value: "map", label: "Map" }, ...shown.layers.map((layer, i) => ({
    value: String(i), label: layer.name, title: layer.meaning, unused: layer.weight === 0 }))];
  choices(host, options, shown.layer, (value) => {
    shown.layer = value;
    onmap();
  });
  host.hidden = shown.layers.length === 0;
}

function drawLook(host, shown, look, palettes, onmap, onlook) {
  const sliders = element("div", { className: "sliders" });
  const add = (name, label) => slider(sliders, { name, label, low: 0, high: 1, step: 0.01, value: look[name],
    oninput: (value) => onlook({ [name]: value }) });
  add("opacity", "opacity");
  add("threshold", "threshold");
  const colours = element("select", { "aria-label": "colours" }, ...Object.keys(palettes)
    .filter((name) => name !== "diverging").map((name) => element("option", { value: name, textContent: name })));
  colours.value = look.palette;
  colours.addEventListener("change", () => onlook({ palette: colours.value }));
  const checks = element("div", { className: "checks" });
  checkbox(checks, "contour lines", look.lines, (lines) => onlook({ lines }));
  checkbox(checks, "outline of the prior", look.outline, (outline) => onlook({ outline }));
  if (shown.final.values.some((value) => value < 0)) {
    checkbox(checks, "size without sign", shown.magnitude, (magnitude) => {
      shown.magnitude = magnitude;
      onmap();
    });
  }
  checks.append(element("label", {}, "colours ", colours));
  host.replaceChildren(sliders, checks);
}

function drawLive(host, shown, onmap) {
  if (!shown.live) {
    host.replaceChildren();
    return;
  }
  const sliders = element("div", { className: "sliders" });
  const inputs = WEIGHTS.map((weight) => slider(sliders, { ...weight, value: shown.settings[weight.name],
    oninput: (value) => {
      shown.settings[weight.name] = value;
      onmap();
    } }));
  const reset = element("button", { type: "button", textContent: "Reset the weights" });
  reset.addEventListener("click", () => {
    WEIGHTS.forEach(({ name }, i) => {
      inputs[i].value = shown.explanation.parameters[name];
      inputs[i].dispatchEvent(new Event("input"));
    });
  });
  host.replaceChildren(element("h3", { textContent: "Weights of the fusion, applied as you move them" }), sliders,
    element("div", { className: "row" }, reset));
}

// The colour bar under the controls.
export function drawBar(host, map, look, palettes) {
  const scale = new Scale(...map.range);
  if (scale.constant) {
    host.replaceChildren(element("p", { className: "quiet", textContent: "The map is constant: it says nothing about where." }));
    return;
  }
  const canvas = element("canvas", { className: "bar", width: 255, height: 1, role: "img" });
  canvas.setAttribute("aria-label", `colours from ${scale.format(scale.ends[0])} to ${scale.format(scale.ends[1])}`);
  const image = new ImageData(255, 1);
  palette(palettes[scale.signed ? "diverging" : look.palette]).forEach((colour, i) => image.data.set([...colour, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
  const middle = (scale.ends[0] + scale.ends[1]) / 2;
  host.replaceChildren(canvas, element("p", { className: "ends" }, ...[scale.ends[0], middle, scale.ends[1]].map((value) =>
    element("span", { textContent: scale.format(value) }))), element("p", { className: "quiet", textContent:
    scale.signed ? "Raw values, 0 is transparent: amber above, blue below." : "Raw values from minimum to maximum." }));
}
