// Files of the shown explanation, and a link to it.
import { run, save } from "./api.js";
import { byId, element, say } from "./dom.js";
import { linkTo } from "./link.js";
import { ShownMap } from "./live.js";

const LABELS = { "report.html": "Report", "overlay.png": "Picture", "panel.png": "Panel", "image_map.npy": "Map (NPY)",
  "explanation.json": "Record (JSON)", "grids.npz": "Terms (NPZ)", "dicom.zip": "DICOM" };

export class Keep {
  constructor(viewer) {
    this.viewer = viewer;
  }

  build() {
    const { viewer } = this;
    byId("downloads").replaceChildren(...viewer.facts.files.map((kind) => {
      const button = element("button", { type: "button", textContent: LABELS[kind] ?? kind, title: kind });
      button.dataset.kind = kind;
      button.addEventListener("click", () => viewer.guarded(async () =>
        save(`api/explanations/${(await this.current()).explanation.id}/${kind}`, kind)));
      return button;
    }));
    byId("copy-link").addEventListener("click", () => viewer.guarded(() => this.copyLink()));
  }

  // The explanation as shown: computed anew on the server where the weights were moved.
  async current() {
    const { viewer } = this, { shown } = viewer;
    if (!shown.changed) return shown;
    const { explanation, parameters } = shown;
    const found = await viewer.running.compute((signal, onprogress) => run("api/explain",
      { ...viewer.shownQuestion(), method: explanation.method, parameters }, onprogress, signal), "computing …");
    if (!found) throw new DOMException("cancelled", "AbortError");
    return new ShownMap(found, shown.score);
  }

  async copyLink() {
    const address = linkTo(this.viewer);
    await navigator.clipboard.writeText(address).catch(() => { location.hash = new URL(address).hash; });
    const button = byId("copy-link");
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy link"; }, 1500);
    say("link copied");
  }
}
