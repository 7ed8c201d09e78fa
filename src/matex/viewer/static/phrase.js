// The phrase: what the parser understood, and the sentences of a report.
import { element } from "./dom.js";

// The phrase with its places underlined, each with side, region and what is said about it.
export function underline(host, text, mentions) {
  const parts = [];
  let position = 0;
  for (const group of grouped(mentions)) {
    const [{ start, end, kind }] = group;
    if (start < position) continue;
    const meaning = group.map((one) => [one.side.replace("patient's ", ""), one.region].join(" ")
      .replace("no side ", "")).join(", ");
    const [{ assertion }] = group;
    const label = assertion === "stated" ? meaning : `${meaning}: ${assertion}`;
    parts.push(text.slice(position, start));
    const mark = element("mark", { className: kind, title: group.map((one) => `${one.side}, ${one.region}, ` +
      `${one.assertion}, weight ${one.weight}`).join("; ") }, text.slice(start, end));
    mark.append(element("small", { textContent: label }));
    parts.push(mark);
    position = end;
  }
  parts.push(text.slice(position));
  host.replaceChildren(...parts);
  if (!mentions.length) host.append(element("span", { className: "quiet", textContent: "  No place named: the prior is neutral." }));
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

export function drawWords(host, legend, words, method) {
  const largest = Math.max(...words.map(([, score]) => Math.abs(score ?? 0)), 0) || 1;
  host.replaceChildren(...words.map(([word, score]) => {
    const chip = element("span", { className: "word", textContent: word });
    chip.append(element("small", { textContent: score === null ? "undefined" : score.toPrecision(2) }));
    const strength = (Math.abs(score ?? 0) / largest) * 0.6;
    chip.style.background = `rgba(var(${(score ?? 0) >= 0 ? "--plus" : "--minus"}), ${strength.toFixed(2)})`;
    return chip;
  }));
  legend.textContent = words.length ? "Raw attribution. Amber raises the score, blue lowers it."
    : `${method} does not score words.`;
}
