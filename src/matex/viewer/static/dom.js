// Building elements without markup: text stays text.

export const byId = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  assign(made, properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function assign(made, properties) {
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && !key.startsWith("aria-")) made[key] = value;
    else made.setAttribute(key, value);
  }
}

export function setTheme(theme) {
  document.documentElement.dataset.theme = theme === "light" ? "light" : "dark";
  byId("theme").textContent = theme === "light" ? "Dark" : "Light";
}

export function say(text) {
  byId("spoken").textContent = text;
}

// Three decimals, as scores are shown everywhere.
export function fixed(value) {
  return Number.isFinite(value) ? value.toFixed(3) : "undefined";
}

export function signed(value) {
  return `${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(3)}`;
}

// A row of buttons of which one is chosen; arrow keys move, as in a group of radio buttons.
export function choices(host, options, chosen, onchoice) {
  const buttons = options.map(({ value, label, title, unused }) => {
    const button = element("button", { type: "button", textContent: label, title: title ?? "", role: "radio" });
    button.className = unused ? "unused" : "";
    button.dataset.value = value;
    button.addEventListener("click", () => choose(value));
    return button;
  });
  const choose = (value, quiet = false) => {
    for (const button of buttons) {
      const on = button.dataset.value === String(value);
      button.setAttribute("aria-checked", String(on));
      button.tabIndex = on ? 0 : -1;
    }
    if (!quiet) onchoice(value);
  };
  host.className = "choices";
  host.replaceChildren(...buttons);
  host.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const at = buttons.indexOf(document.activeElement);
    if (!step || at < 0) return;
    const next = buttons[(at + step + buttons.length) % buttons.length];
    next.focus();
    next.click();
    event.preventDefault();
  };
  choose(chosen, true);
  return choose;
}

// A slider with its label and value; returns the input.
export function slider(host, { name, label, low, high, step, value, oninput }) {
  const shown = element("output", { textContent: String(value) });
  const input = element("input", { type: "range", min: low, max: high, step, value, name });
  input.dataset.name = name;
  input.addEventListener("input", () => {
    shown.textContent = input.value;
    oninput(Number(input.value));
  });
  host.append(element("label", {}, element("span", { textContent: label }), input, shown));
  return input;
}

export function checkbox(host, label, checked, onchange) {
  const input = element("input", { type: "checkbox", checked });
  input.addEventListener("change", () => onchange(input.checked));
  host.append(element("label", {}, input, ` ${label}`));
  return input;
}
