// What lies over a film and its map: contour lines, an outline, boxes, the patient's sides, a scale, the reading point.
import { contours } from "./maps.js";

const CENTIMETRES = [10, 5, 2, 1, 0.5];

// frame: where the film lies in the canvas, CSS pixels, see FilmView.frame; view: the FilmView.
export function drawMarks(context, frame, view) {
  const { film, look, map } = view;
  context.clearRect(0, 0, frame.width, frame.height);
  if (map && !map.scale.constant && !look.hidden && look.lines && look.opacity > 0) {
    view.lines ??= contours(map.grid, map.placement, (value) => map.scale.strength(value));
    drawContours(context, frame, film, view.lines);
  }
  if (view.outline) drawOutline(context, frame, film, view.outline);
  context.setLineDash(view.options.dashed ? [7, 5] : []);
  for (const one of view.boxes) drawBox(context, frame, film, one, "#5fe3ff");
  context.setLineDash([]);
  if (view.drawn) drawBox(context, frame, film, view.drawn, "#ffffff");
  if (film.axes) drawAxes(context, frame, film);
  if (view.playhead !== null) drawPlayhead(context, frame, film, view.playhead);
  if (film.sides) drawSides(context, frame, film);
  if (film.spacing) drawScale(context, frame, film);
  if (view.point && inside(view.point)) drawPoint(context, frame, film, view.point);
}

export function inside([x, y]) {
  return x >= 0 && x <= 1 && y >= 0 && y <= 1;
}

function drawContours(context, frame, film, lines) {
  lines.forEach((line, i) => {
    const path = pathOf(line, frame, film);
    context.lineWidth = 3 + i * 0.4;
    context.strokeStyle = "rgba(0, 0, 0, 0.35)";
    context.stroke(path);
    context.lineWidth = 1 + i * 0.4;
    context.strokeStyle = `rgba(255, 255, 255, ${0.6 + 0.2 * i})`;
    context.stroke(path);
  });
}

function drawOutline(context, frame, film, line) {
  context.setLineDash([6, 5]);
  context.lineWidth = 2;
  context.strokeStyle = "#7dffb0";
  context.stroke(pathOf(line, frame, film));
}

// White where the sides are stated, grey with a question mark where assumed; at the edges of the visible film.
function drawSides(context, frame, film) {
  const { sides } = film;
  const left = Math.max(frame.left, 0) + 10;
  const right = Math.min(frame.left + film.width * frame.scale, frame.width) - 10;
  const top = Math.max(frame.top, 0) + 10;
  context.font = `${sides.assumed ? 400 : 700} ${sides.assumed ? 22 : 26}px system-ui, sans-serif`;
  context.textBaseline = "top";
  for (const [text, x, align] of [[sides.left, left, "left"], [sides.right, right, "right"]]) {
    context.textAlign = align;
    outlined(context, text, x, top, sides.assumed ? "#c3c9d0" : "#ffffff");
  }
}

// Times along the lower edge and frequencies along the left one.
function drawAxes(context, frame, film) {
  const across = film.width * frame.scale, down = film.height * frame.scale;
  const bottom = Math.min(frame.top + down, frame.height), left = Math.max(frame.left, 0);
  context.font = "600 12px system-ui, sans-serif";
  context.textBaseline = "bottom";
  context.textAlign = "center";
  for (const [place, label] of film.axes.seconds) {
    const x = frame.left + place * across;
    strokeTwice(context, new Path2D(`M${x} ${bottom}V${bottom - 6}`), 1.25);
    outlined(context, `${label} s`, x, bottom - 8, "#ffffff");
  }
  context.textBaseline = "middle";
  context.textAlign = "left";
  for (const [place, label] of film.axes.hertz) {
    const y = frame.top + place * down;
    strokeTwice(context, new Path2D(`M${left} ${y}H${left + 6}`), 1.25);
    outlined(context, `${label} Hz`, left + 9, y, "#ffffff");
  }
}

function drawPlayhead(context, frame, film, place) {
  const x = frame.left + place * film.width * frame.scale;
  strokeTwice(context, new Path2D(`M${x} ${frame.top}V${frame.top + film.height * frame.scale}`), 1.5);
}

function drawScale(context, frame, film) {
  const [, across, calibrated] = film.spacing;
  const pixels = (centimetres) => (centimetres * 10 / across) * frame.scale;
  const length = CENTIMETRES.find((centimetres) => pixels(centimetres) < frame.width / 4) ?? CENTIMETRES.at(-1);
  const x = Math.max(frame.left, 0) + 14, y = Math.min(frame.top + film.height * frame.scale, frame.height) - 16;
  strokeTwice(context, new Path2D(`M${x} ${y - 6}V${y}H${x + pixels(length)}V${y - 6}`), 2);
  context.font = "600 13px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "bottom";
  outlined(context, `${length} cm${calibrated ? "" : " at the detector"}`, x, y - 9, "#ffffff");
}

function drawPoint(context, frame, film, point) {
  const x = frame.left + point[0] * film.width * frame.scale, y = frame.top + point[1] * film.height * frame.scale;
  const arms = `M${x - 9} ${y}H${x - 3}M${x + 3} ${y}H${x + 9}M${x} ${y - 9}V${y - 3}M${x} ${y + 3}V${y + 9}`;
  strokeTwice(context, new Path2D(arms), 1.25);
}

// White on a dark rim, so that it shows on every film.
function strokeTwice(context, path, width) {
  context.lineWidth = width + 2;
  context.strokeStyle = "rgba(0, 0, 0, 0.65)";
  context.stroke(path);
  context.lineWidth = width;
  context.strokeStyle = "#ffffff";
  context.stroke(path);
}

function pathOf(line, frame, film) {
  const path = new Path2D();
  const across = film.width * frame.scale, down = film.height * frame.scale;
  for (let i = 0; i < line.length; i += 4) {
    path.moveTo(frame.left + line[i] * across, frame.top + line[i + 1] * down);
    path.lineTo(frame.left + line[i + 2] * across, frame.top + line[i + 3] * down);
  }
  return path;
}

function drawBox(context, frame, film, [x0, y0, x1, y1], colour) {
  const across = film.width * frame.scale, down = film.height * frame.scale;
  context.lineWidth = 2;
  context.strokeStyle = colour;
  context.strokeRect(frame.left + x0 * across, frame.top + y0 * down, (x1 - x0) * across, (y1 - y0) * down);
}

function outlined(context, text, x, y, colour) {
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = "rgba(0, 0, 0, 0.85)";
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}
