// A sound in the film's place: its playback, and the moment that is heard on the spectrogram.
import { soundAddress } from "./api.js";
import { byId } from "./dom.js";
import { placeOf } from "./axes.js";

export class Playback {
  constructor(viewer) {
    this.viewer = viewer;
  }

  build() {
    const player = byId("player");
    const follow = () => {
      const { viewer } = this, { film } = viewer;
      const heard = film?.axes && !player.paused ? placeOf(film.axes.seconds, player.currentTime) : null;
      for (const tile of viewer.stage.tiles) tile.view.setPlayhead(heard);
      if (heard !== null) requestAnimationFrame(follow);
    };
    for (const name of ["play", "pause", "ended", "seeked"]) player.addEventListener(name, follow);
  }

  // Another film or sound: what belongs to films alone is hidden for sounds.
  show(film) {
    const player = byId("player");
    player.pause();
    player.hidden = film.axes === null;
    if (film.axes) player.src = soundAddress(film);
    else player.removeAttribute("src");
    byId("film-card").hidden = film.axes !== null;
    byId("cover").hidden = byId("audit").hidden = film.axes !== null;
    byId("sound-note").hidden = film.axes === null;
  }
}
