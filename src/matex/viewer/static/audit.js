// Questions to a map: its audit with the maps of the controls, and the score without a region.
import { decodeGrid, mapRange } from "./maps.js";
import { choices, element, fixed, signed } from "./dom.js";

const HEADINGS = { pass: "No check raises a concern", warn: "Interpret with caution", fail: "Not reliable" };
const STATES = { pass: "passed", warn: "warning", fail: "failed", skipped: "skipped" };

// onchoice gets a control with its map as FilmView takes it, or null for none.
export function drawAudit(host, audit, onchoice) {
  const verdict = element("div", { className: `verdict ${audit.verdict}`, role: "status" },
    element("b", { textContent: HEADINGS[audit.verdict] }), audit.summary);
  const picker = element("div", { role: "radiogroup" });
  picker.setAttribute("aria-label", "control to show next to the map");
  choices(picker, [{ value: "", label: "none" }, ...audit.controls.map((control) => ({ value: control.name,
    label: control.title, title: `“${control.text}”, score ${fixed(control.score)}` }))], "", (name) => {
    const control = audit.controls.find((one) => one.name === name);
    onchoice(control ? { ...control, shown: controlMap(control) } : null);
  });
  const checks = audit.checks.map((check) => element("div", { className: "check" },
    element("span", { className: check.state, textContent: STATES[check.state] }),
    element("div", {}, element("b", { textContent: check.question }), element("p", { textContent: check.answer }),
      check.rule && check.state !== "skipped" ? element("p", { className: "quiet", textContent: check.rule }) : null)));
  host.replaceChildren(verdict, element("h3", { textContent: "Show a control next to the map" }), picker,
    element("details", { open: audit.verdict !== "pass" }, element("summary", { textContent: "The checks" }), ...checks));
}

function controlMap(control) {
  const grid = decodeGrid(control.map.grid);
  return { grid, placement: control.map.placement, range: mapRange(grid, control.map.placement), name: control.title };
}

// One line for each covered region, and all of them together on the film.
export function drawCovered(host, rows, onclear) {
  if (!rows.length) {
    host.replaceChildren();
    return;
  }
  const list = element("div", { className: "covered" });
  for (const row of rows) {
    const change = row.after - row.before;
    list.append(element("span", { textContent: row.place }), element("span", { textContent: `${fixed(row.before)} → ${fixed(row.after)}` }),
      element("b", { textContent: signed(change) }));
  }
  const clear = element("button", { type: "button", textContent: "Uncover" });
  clear.addEventListener("click", onclear);
  host.replaceChildren(list, element("p", { className: "quiet", textContent:
    "The regions are painted over in the film's mean grey. A fall means that the score rests on them." }),
  element("div", { className: "row" }, clear));
}
