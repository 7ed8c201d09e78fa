// Questions to the shown map: its audit, and the score of the film without a region.
import { post, run } from "./api.js";
import { drawAudit, drawCovered } from "./audit.js";
import { byId, say } from "./dom.js";
import { placeName } from "./maps.js";

export class Questions {
  constructor(viewer) {
    this.viewer = viewer;
    this.covered = []; // {box, before, after, place}
  }

  listen() {
    const { viewer } = this;
    byId("audit").addEventListener("click", () => viewer.guarded(() => this.audit()));
    byId("cover").addEventListener("click", () => viewer.useTool("cover",
      "drag a box on the film, or move the reading point with Shift and arrows and press Enter at two corners"));
  }

  clear() {
    this.covered = [];
    byId("audit-result").replaceChildren();
    byId("cover-result").replaceChildren();
  }

  get boxes() {
    return this.covered.map((row) => row.box);
  }

  async audit() {
    const { viewer } = this;
    await viewer.explaining;
    const { shown } = viewer;
    const { explanation } = await viewer.keep.current();
    const found = await viewer.running.compute((signal, onprogress) =>
      run("api/audit", { explanation: explanation.id }, onprogress, signal), "audit …");
    if (!found || viewer.shown !== shown) return;
    drawAudit(byId("audit-result"), found, (control) => {
      viewer.stage.keep((tile) => tile.key === "main");
      if (control) viewer.showBeside("control", control.title, control.score, control.shown);
    });
    say(`audit: ${found.summary}`);
  }

  async cover(box) {
    const { viewer } = this, { shown } = viewer;
    if (!shown) return;
    const { before, after } = await post("api/cover", { ...viewer.shownQuestion(), boxes: [...this.boxes, box] });
    if (viewer.shown !== shown) return;
    const place = placeName(viewer.film, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2) || "region";
    this.covered.push({ box, before: this.covered.at(-1)?.after ?? before, after, place });
    this.draw();
  }

  draw() {
    drawCovered(byId("cover-result"), this.covered, () => {
      this.covered = [];
      this.draw();
    });
    this.viewer.drawBoxes();
  }
}
