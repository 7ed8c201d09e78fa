// A link that restores what is shown.
// The state is in the fragment, which browsers do not send to any server. It is written when a person copies the link
// and at no other time, so that phrases stay out of the browser's history.
import { get } from "./api.js";
import { byId, setTheme } from "./dom.js";

const FIRST_FILM = "left-lower-opacity"; // shown where no link says otherwise

export function linkTo(viewer) {
  const address = new URL(location.href);
  address.hash = encodeURIComponent(JSON.stringify(stateOf(viewer)));
  return address.href;
}

export function linkedState() {
  if (location.hash.length < 2) return {};
  try {
    const state = JSON.parse(decodeURIComponent(location.hash.slice(1)));
    return state !== null && typeof state === "object" && !Array.isArray(state) ? state : {};
  } catch {
    return {};
  }
}

function stateOf(viewer) {
  const { film, shown } = viewer, view = viewer.main()?.view;
  return {
    film: film.bundled ? { bundled: film.bundled } : { id: film.id },
    resize: viewer.settings.resize, phrase: byId("phrase").value, method: byId("method").value, model: byId("model").value,
    score: viewer.score.state(),
    look: viewer.look, settings: shown?.live ? shown.settings : undefined, layer: shown?.layer,
    view: view?.view, window: view?.window, inverted: view?.inverted, theme: document.documentElement.dataset.theme,
    mode: viewer.mode, compare: viewer.comparison.state(),
  };
}

export async function restore(viewer, state) {
  setTheme(state.theme ?? "dark");
  if (!(await restoreFilm(viewer, state))) return;
  byId("film-resize").value = state.resize ?? "model";
  byId("phrase").value = state.phrase ?? byId("phrase").value;
  byId("method").value = state.method ?? "matex";
  byId("model").value = state.model ?? viewer.facts.models[0];
  viewer.score.restore(state.score);
  Object.assign(viewer.look, state.look ?? {});
  await viewer.read();
  await viewer.explain();
  if (viewer.shown && state.settings) {
    Object.assign(viewer.shown.settings, state.settings);
    viewer.shown.layer = state.layer ?? "map";
    viewer.drawControls();
    viewer.redraw();
  }
  restoreView(viewer.main()?.view, state);
  if (state.mode === "compare") {
    viewer.setMode("compare");
    await viewer.comparison.restore(state.compare ?? {});
  }
}

// Whether the state names a film; without one the first film is opened and explained.
async function restoreFilm(viewer, { film }) {
  if (film?.bundled) await viewer.openBundled(film.bundled, false);
  else if (film?.id) await viewer.show(await get(`api/films/${encodeURIComponent(film.id)}`), null);
  else if (viewer.facts.reads.includes("image")) {
    const { films } = viewer.facts;
    await viewer.openBundled((films.find((one) => one.name === FIRST_FILM) ?? films[0]).name);
    return false;
  } else {
    byId("film-name").textContent = "This model hears sounds: open one (WAV, FLAC, OGG).";
    return false;
  }
  return true;
}

function restoreView(view, state) {
  if (!view) return;
  if (state.window) view.setWindow(state.window);
  if (state.view) view.setView(state.view);
  if (state.inverted) view.invert();
}
