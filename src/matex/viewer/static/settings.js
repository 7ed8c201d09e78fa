// How the film is read: view, orientation, preprocessing, kind of image, and a mask of the lungs.
import { post, uploadMask } from "./api.js";
import { byId, element } from "./dom.js";

const ORIENTATIONS = [["", "as the file states"], ["no", "standard display"], ["yes", "mirrored"]];
const RESIZES = { model: "as the model was trained", squash: "squash", pad: "pad", crop: "crop" };
const DOMAINS = {
  chest: "chest, frontal",
  "chest-lateral": "chest, lateral",
  mammography: "mammogram",
  "brain-axial": "brain, axial slice",
  abdomen: "abdomen, frontal",
  natural: "other image: no sides, no prior",
};

export class FilmSettings {
  constructor(viewer) {
    this.viewer = viewer;
  }

  build() {
    const { viewer } = this, { domains, resizes } = viewer.facts;
    fill("film-mirrored", ORIENTATIONS);
    fill("film-resize", resizes.map((name) => [name, RESIZES[name] ?? name]));
    fill("film-domain", domains.map(({ name }) => [name, DOMAINS[name] ?? name]));
    this.offerViews();
    byId("film-domain").addEventListener("change", () => this.offerViews());
    for (const id of ["film-view", "film-mirrored", "film-domain"]) {
      byId(id).addEventListener("change", () => viewer.guarded(() => this.apply()));
    }
    byId("film-resize").addEventListener("change", () => viewer.guarded(() => viewer.explain()));
    byId("mask-file").addEventListener("change", (event) => viewer.guarded(() => this.addMask(event.target.files[0])));
    byId("mask-remove").addEventListener("click", () => viewer.guarded(() => this.apply("remove")));
  }

  // The views of the chosen kind of image; one that it lacks is no longer stated.
  offerViews() {
    const { domains } = this.viewer.facts, select = byId("film-view"), stated = select.value;
    const known = domains.find(({ name }) => name === byId("film-domain").value) ?? domains[0];
    fill("film-view", [["", "as the file states"], ...known.views.map((view) => [view, view])]);
    select.value = known.views.includes(stated) ? stated : "";
  }

  // Another film, read in its own way.
  show(film) {
    const changed = byId("film-domain").value !== film.domain;
    byId("film-domain").value = film.domain;
    if (changed) this.offerViews();
    const chest = film.domain === "chest" || film.domain === "sound";
    for (const input of [byId("mask-file").closest("label"), byId("mask-state")]) input.hidden = !chest;
    byId("mask-state").textContent = film.mask ? "The prior lies on the lungs of your mask." : "The prior lies on average anatomy.";
    byId("mask-remove").hidden = !film.mask;
    byId("mask-file").value = "";
  }

  // What was stated about another film does not hold for this one.
  reset() {
    for (const id of ["film-view", "film-mirrored"]) byId(id).value = "";
  }

  get resize() {
    return byId("film-resize").value;
  }

  async apply(mask = "keep") {
    const { film } = this.viewer;
    const [view, mirrored, domain] = ["film-view", "film-mirrored", "film-domain"].map((id) => byId(id).value);
    await this.changed(await post(`api/films/${film.id}/settings`, { view, mirrored, domain, mask }));
  }

  async addMask(file) {
    if (file) await this.changed(await uploadMask(this.viewer.film.id, file));
  }

  async changed(film) {
    const { viewer } = this;
    await viewer.show(film, film.set ? null : viewer.film.bundled);
    if (byId("phrase").value.trim()) await viewer.explain();
  }
}

function fill(id, options) {
  byId(id).replaceChildren(...options.map(([value, label]) => element("option", { value, textContent: label })));
}
