// The computation at work: its progress, and a button that cancels it. A new one cancels the one before.
import { element } from "./dom.js";

export class Running {
  constructor(host) {
    this.host = host;
    this.control = null;
  }

  // action gets a signal and a function for progress; its result, or null when it was cancelled.
  async compute(action, label) {
    this.cancel();
    const control = new AbortController();
    this.control = control;
    const bar = element("progress", { max: 1, "aria-label": label }), words = element("span", { textContent: label });
    const button = element("button", { type: "button", textContent: "Cancel" });
    button.addEventListener("click", () => control.abort());
    this.host.replaceChildren(words, button, bar);
    const late = setTimeout(() => { this.host.hidden = false; }, 200); // what is fast needs no bar
    try {
      const result = await action(control.signal, ({ done, total, state }) => {
        words.textContent = state === "waiting" ? `${label} waiting for another computation` : label;
        if (total) bar.value = done / total;
      });
      return control.signal.aborted ? null : result; // cancelled while the last answer was on its way
    } catch (error) {
      if (error.name !== "AbortError") throw error;
      return null;
    } finally {
      clearTimeout(late);
      if (this.control === control) {
        this.host.hidden = true;
        this.control = null;
      }
    }
  }

  cancel() {
    this.control?.abort();
  }
}
