// The phrase: what the parser understood, and the sentences of a report.
import { element } from "./dom.js";

// The phrase with its places underlined, each with side, region and what is said about it.
export function underline(host, text, mentions) {
  const parts = [];
  let position = 0;
  for (const group of grouped(mentions)) {
    const [{ start, end, kind }] = group;
    if (start < position) continue;
    parts.push(text.slice(position, start), element("mark", { className: kind, title: inWords(group) }, text.slice(start, end)));
    position = end;
  }
  parts.push(text.slice(position));
  host.replaceChildren(...parts);
}

// What each underlined part was taken to mean.
export function explainMentions(host, text, mentions) {
  const lines = grouped(mentions).map((group) => element("li", {}, element("b", { textContent: inWords(group) }),
    ` from “${text.slice(group[0].start, group[0].end)}”`));
  if (!lines.length) lines.push(element("li", { textContent: "No place is named: the spatial prior is neutral." }));
  host.replaceChildren(...lines);
}

// "left lower zone and left costophrenic angle, negated"
function inWords(group) {
  const [{ assertion, weight }] = group;
  const places = group.map(({ side, region }) => (side === "no side" ? region : `${side.replace("patient's ", "")} ${region}`));
  const weighed = weight > 0 && weight < 1 ? `, weight ${weight}` : "";
  return `${places.join(" and ")}${assertion === "stated" ? "" : `, ${assertion}`}${weighed}`;
}

function grouped(mentions) {
  const groups = new Map();
  for (const mention of mentions) {
    const key = `${mention.start}-${mention.end}`;
    groups.set(key, [...(groups.get(key) ?? []), mention]);
  }
  return [...groups.values()].sort((one, other) => one[0].start - other[0].start);
}

// The sentences of a report as buttons; a click explains one.
export function listSentences(host, sentences, onchoice) {
  host.hidden = sentences.length < 2;
  host.replaceChildren(...sentences.map((sentence) => {
    const button = element("button", { type: "button", disabled: sentence.claim === "no finding" },
      element("small", { textContent: sentence.claim }), element("span", { textContent: sentence.text }));
    button.addEventListener("click", () => onchoice(sentence.text));
    return element("li", {}, button);
  }));
}
