// The score on a line with the scores that it is to be compared with.
import { element, fixed, svg } from "./dom.js";

const ROW = 24, LEFT = 92, RIGHT = 58, WIDTH = 380;

export function drawYardstick(host, rows) {
  const known = rows.filter((row) => Number.isFinite(row.score));
  const low = Math.min(0, ...known.map((row) => row.score)), high = Math.max(0.01, ...known.map((row) => row.score));
  const x = (value) => LEFT + 8 + ((value - low) / (high - low || 1)) * (WIDTH - LEFT - RIGHT - 16);
  const height = ROW * rows.length + 4;
  const picture = svg("svg", { class: "yardstick", viewBox: `0 0 ${WIDTH} ${height}`, role: "img",
    "aria-label": rows.map((row) => `${row.kind}: ${fixed(row.score)}`).join("; ") });
  rows.forEach((row, i) => {
    const y = ROW * i + ROW / 2;
    const line = svg("g", { class: i === 0 ? "own" : "" });
    line.append(text(LEFT - 4, y, row.kind, "end"), svg("line", { class: "axis", x1: x(low), x2: x(high), y1: y, y2: y }));
    if (Number.isFinite(row.score)) line.append(svg("circle", { cx: x(row.score), cy: y, r: i === 0 ? 6.5 : 4.5 }));
    line.append(text(WIDTH - 2, y, fixed(row.score), "end", "value"));
    const title = svg("title");
    const likely = Number.isFinite(row.probability) ? `, probability ${row.probability.toPrecision(3)}` : "";
    title.textContent = (row.text ? `“${row.text}”` : "no words at all") + likely;
    line.append(title);
    picture.append(line);
  });
  host.replaceChildren(picture);
}

function text(x, y, content, anchor, className = "") {
  const made = svg("text", { x, y: y + 4, "text-anchor": anchor, class: className });
  made.textContent = content;
  return made;
}

// The comparison in words.
export function judged(rows) {
  const [own, ...rest] = rows;
  const others = rest.filter((row) => row.text); // models never met a text without words in training
  if (!others.length || !Number.isFinite(own.score)) return [];
  const higher = others.filter((row) => row.score >= own.score);
  const lines = [];
  if (higher.length) {
    lines.push(`Caution: as high or higher: ${higher.map((row) => name(row)).join(", ")}. The model does not single ` +
      "this phrase out.");
  } else {
    const nearest = others.reduce((best, row) => (row.score > best.score ? row : best));
    lines.push(`Highest of these; ${name(nearest)} comes nearest, ${(own.score - nearest.score).toFixed(3)} lower.`);
  }
  return lines.map((line) => element("span", { textContent: line }));
}

function name(row) {
  return { "other side": "the same phrase with the other side", denied: "the denied phrase",
    affirmed: "the phrase without its denial", unrelated: "an unrelated phrase"
  }[row.kind] ?? row.kind;
}
