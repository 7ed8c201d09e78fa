// Values of maps: decoding, the fusion of MATEX, interpolation onto the film, colours, contour lines, names of places.
// Nothing here touches the page. The formulas are those of matex.attribution, matex.geometry and matex.render, and
// tests compare the two.

const LEVELS = [0.5, 0.75, 0.9]; // contour lines, fractions from the transparent value to the strongest colour
const OPAQUE = 0.66; // opacity of the strongest colour
const CROWDED = 60; // total length of contour lines, in widths of the film, above which they would hide the film

// {rows, columns, values: base64 of little-endian float32} to {rows, columns, values: Float32Array}.
export function decodeGrid(record) {
  const text = atob(record.values);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return { rows: record.rows, columns: record.columns, values: new Float32Array(bytes.buffer) };
}

export function transformed(grid, change) {
  return { rows: grid.rows, columns: grid.columns, values: Float64Array.from(grid.values, change) };
}

// ---------------------------------------------------------------------------------------------------------- fusion

// To [0, 1] by the extremes; zeros where the values differ by no more than rounding of float32.
export function minmax(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const largest = Math.max(Math.abs(low), Math.abs(high), 1e-12);
  if (!(high - low > 4 * 1.1920929e-7 * largest)) return new Float64Array(values.length);
  return Float64Array.from(values, (value) => (value - low) / (high - low));
}

// Eq. 1: the readout token's attention in each block, weighted by softmax(temperature * number of the block).
export function attentionFlow(attention, blocks, temperature) {
  const cells = attention.values.length / blocks;
  const weights = Array.from({ length: blocks }, (_, block) => Math.exp(temperature * (block - blocks + 1)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const flow = new Float64Array(cells);
  for (let block = 0; block < blocks; block++) {
    const weight = weights[block] / total;
    for (let i = 0; i < cells; i++) flow[i] += weight * attention.values[block * cells + i];
  }
  return flow;
}

// Decode what `live` of an explanation holds.
export function decodeLive(record) {
  return {
    gradient: decodeGrid(record.gradient),
    consistency: decodeGrid(record.consistency),
    prior: record.prior && decodeGrid(record.prior),
    attention: decodeGrid(record.attention),
    blocks: record.attention.blocks,
  };
}

// The terms of eq. 6 before their weights, each a grid.
export function liveTerms(live, settings) {
  const { gradient, consistency } = live;
  const { rows, columns } = gradient;
  const flow = minmax(attentionFlow(live.attention, live.blocks, settings.temperature));
  const strength = settings.prior_strength - 1;
  const prior = Float64Array.from(gradient.values, (value, i) =>
    value * (1 + strength * (live.prior ? live.prior.values[i] : 0)));
  return { gradient, flow: { rows, columns, values: flow }, consistency, prior: { rows, columns, values: prior } };
}

// Eq. 6: alpha A_grad + beta A_flow + gamma (C * A_grad) + delta (M * A_grad).
export function fuse(live, settings) {
  const terms = liveTerms(live, settings);
  const { alpha, beta, gamma, delta } = settings;
  const values = new Float64Array(terms.gradient.values.length);
  for (let i = 0; i < values.length; i++) {
    values[i] = alpha * terms.gradient.values[i] + beta * terms.flow.values[i] +
      gamma * terms.consistency.values[i] + delta * terms.prior.values[i];
  }
  return { rows: terms.gradient.rows, columns: terms.gradient.columns, values };
}

// -------------------------------------------------------------------------------------------------------- geometry

// A point of the film as it lies, in fractions, to fractions of the standard frame (patient's right on the left).
export function toStandard(film, x, y) {
  const turned = [[x, y], [y, 1 - x], [1 - x, 1 - y], [1 - y, x]][film.turns];
  return film.mirrored ? [1 - turned[0], turned[1]] : turned;
}

// Cells of one axis of the grid at `count` points from `start` to `end`, fractions of the film.
function axis(count, start, end, backward, resized, offset, cell, cells, margin) {
  const below = new Int32Array(count), share = new Float64Array(count), state = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const along = start + ((i + 0.5) / count) * (end - start);
    if (along < 0 || along > 1) continue; // state 0: not on the film
    const seen = (backward ? 1 - along : along) * resized - offset;
    if (seen < -margin || seen >= cells * cell + margin) { state[i] = 1; continue; } // on the film, not seen by the model
    const position = seen / cell;
    below[i] = Math.min(Math.max(Math.floor(position - 0.5), 0), cells - 1);
    share[i] = below[i] + 1 < cells ? Math.min(Math.max(position - 0.5 - below[i], 0), 1) : 0;
    state[i] = 2;
  }
  return { below, share, state };
}

// How a grid lies on the film: for a window of the film (fractions) and a number of points per axis.
function axes(grid, placement, width, height, window) {
  const { turns, mirrored, resized, offset, model, patch, margin = [0, 0] } = placement;
  const patches = grid.rows === Math.floor(model[0] / patch[0]) && grid.columns === Math.floor(model[1] / patch[1]);
  const cell = placement.cell ?? (patches ? patch : [1, 1]);
  const along = (count, start, end, backward, dimension) =>
    axis(count, start, end, backward, resized[dimension], offset[dimension], cell[dimension],
      dimension ? grid.columns : grid.rows, margin[dimension]);
  const [x0, y0, x1, y1] = window;
  if (turns % 2 === 0) {
    return {
      across: along(width, x0, x1, (turns === 2) !== mirrored, 1),
      down: along(height, y0, y1, turns === 2, 0),
      grid,
    };
  }
  return { // the film lies on its side: its columns are rows of the grid
    across: along(width, x0, x1, turns === 1, 0),
    down: along(height, y0, y1, (turns === 3) !== mirrored, 1),
    grid: transposed(grid),
  };
}

function transposed(grid) {
  const values = new Float64Array(grid.values.length);
  for (let row = 0; row < grid.rows; row++) {
    for (let column = 0; column < grid.columns; column++) {
      values[column * grid.rows + row] = grid.values[row * grid.columns + column];
    }
  }
  return { rows: grid.columns, columns: grid.rows, values };
}

// The rows of a grid, each interpolated at the points across; [row, point].
function widened(grid, across) {
  const count = across.below.length;
  const rows = new Float64Array(grid.rows * count);
  const last = grid.columns - 1;
  for (let row = 0; row < grid.rows; row++) {
    const start = row * grid.columns;
    for (let i = 0; i < count; i++) {
      const below = across.below[i], share = across.share[i];
      const value = grid.values[start + below];
      rows[row * count + i] = value + share * (grid.values[start + Math.min(below + 1, last)] - value);
    }
  }
  return rows;
}

// Bilinear map of a grid onto width x height points of a window of the film; NaN off the film and where not seen.
export function interpolate(grid, placement, width, height, window = [0, 0, 1, 1]) {
  const { across, down, grid: lying } = axes(grid, placement, width, height, window);
  const rows = widened(lying, across);
  const values = new Float32Array(width * height).fill(NaN);
  for (let j = 0; j < height; j++) {
    if (down.state[j] !== 2) continue;
    const first = down.below[j] * width, second = Math.min(down.below[j] + 1, lying.rows - 1) * width;
    for (let i = 0; i < width; i++) {
      if (across.state[i] !== 2) continue;
      const value = rows[first + i];
      values[j * width + i] = value + down.share[j] * (rows[second + i] - value);
    }
  }
  return values;
}

// The value at one point of the film, fractions; NaN where the model did not see it.
export function valueAt(grid, placement, x, y) {
  return interpolate(grid, placement, 1, 1, [x, y, x, y])[0];
}

// Between two cell centres the map is linear along each axis, so its extremes over the pixels of the film lie at the
// first or last pixel of such an interval.
function intervalEnds(line) {
  const ends = [];
  const count = line.below.length;
  for (let i = 0; i < count; i++) {
    if (line.state[i] !== 2) continue;
    const inside = (k) => k >= 0 && k < count && line.state[k] === 2 && line.below[k] === line.below[i] &&
      (line.share[k] > 0) === (line.share[i] > 0);
    if (!inside(i - 1) || !inside(i + 1)) ends.push(i);
  }
  return { below: Int32Array.from(ends, (i) => line.below[i]), share: Float64Array.from(ends, (i) => line.share[i]) };
}

const rangeCache = new WeakMap(); // of placements: the interval ends of each size of grid

// [minimum, maximum] of a grid's map over the pixels of the film.
export function mapRange(grid, placement) {
  const key = `${grid.rows}x${grid.columns}`;
  if (!rangeCache.has(placement)) rangeCache.set(placement, new Map());
  const known = rangeCache.get(placement);
  if (!known.has(key)) {
    const [height, width] = placement.original;
    const { across, down } = axes(grid, placement, width, height, [0, 0, 1, 1]);
    known.set(key, { across: intervalEnds(across), down: intervalEnds(down) });
  }
  const { across, down } = known.get(key);
  const lying = placement.turns % 2 ? transposed(grid) : grid;
  const rows = widened(lying, across);
  const width = across.below.length;
  let low = Infinity, high = -Infinity;
  for (let j = 0; j < down.below.length; j++) {
    const first = down.below[j] * width, second = Math.min(down.below[j] + 1, lying.rows - 1) * width;
    for (let i = 0; i < width; i++) {
      const value = rows[first + i] + down.share[j] * (rows[second + i] - rows[first + i]);
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? [low, high] : [NaN, NaN];
}

// --------------------------------------------------------------------------------------------------------- colours

// As matex.render.colormap.ColourScale: along the bar from minimum to maximum, or centred on 0 with negative values.
export class Scale {
  constructor(low, high) {
    this.low = low ?? NaN;
    this.high = high ?? NaN;
    this.signed = this.low < 0;
    const reach = Math.max(Math.abs(this.low), Math.abs(this.high));
    this.ends = this.signed ? [-reach, reach] : [this.low, this.high];
    this.constant = !(this.high - this.low > 1e-8 * Math.max(1e-30, Math.abs(this.low), Math.abs(this.high)));
  }

  fraction(value) {
    if (this.constant) return this.signed ? 0.5 : 0;
    return Math.min(Math.max((value - this.ends[0]) / (this.ends[1] - this.ends[0]), 0), 1);
  }

  // Distance from the transparent end or centre, in [0, 1].
  strength(value) {
    const fraction = this.fraction(value);
    return this.signed ? Math.abs(2 * fraction - 1) : fraction;
  }

  format(value) {
    if (!Number.isFinite(value)) return "undefined";
    if (this.constant) return String(Number(value.toPrecision(3)));
    if (value === 0 && this.signed) return "0";
    const decimals = 2 - Math.floor(Math.log10(this.ends[1] - this.ends[0]));
    return decimals <= 5 ? value.toFixed(Math.max(decimals, 0)) : value.toExponential(2);
  }
}

// Evenly spaced anchors "rrggbb rrggbb ..." to 255 colours, [r, g, b] each.
export function palette(anchors) {
  const points = anchors.split(" ").map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Array.from({ length: 255 }, (_, i) => {
    const along = (i / 254) * (points.length - 1);
    const below = Math.min(Math.floor(along), points.length - 2);
    return points[below].map((value, channel) =>
      Math.round(value + (along - below) * (points[below + 1][channel] - value)));
  });
}

// Colours and opacities as 256 pixels, the last one twice; strengths below the threshold are transparent.
export function colourTable(colours, signed, threshold = 0) {
  const table = new Uint32Array(256);
  colours.forEach(([red, green, blue], i) => {
    const strength = signed ? Math.abs((2 * i) / 254 - 1) : i / 254;
    const alpha = strength < threshold ? 0 : Math.round(255 * OPAQUE * strength);
    table[i] = ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
  table[255] = table[254];
  return table;
}

// Interpolate a grid onto a window of the film and colour it; pixels is Uint32Array [height * width].
// Runs at every movement of a slider, hence: rows of the grid are widened and scaled to entries of the table once, and
// the inner loop over a row of pixels has no branches.
export function paint(pixels, width, height, grid, placement, window, scale, table) {
  const { across, down, grid: lying } = axes(grid, placement, width, height, window);
  const factor = scale.constant ? 0 : 254 / (scale.ends[1] - scale.ends[0]);
  const shift = scale.constant ? (scale.signed ? 127 : 0) : -scale.ends[0] * factor;
  const rows = widened(lying, across).map((value) => value * factor + shift);
  const start = across.state.indexOf(2), end = across.state.lastIndexOf(2) + 1;
  const entries = new Uint8ClampedArray(width); // rounds and clips
  for (let j = 0; j < height; j++) {
    const line = j * width;
    if (down.state[j] === 0) { pixels.fill(0, line, line + width); continue; }
    const seen = down.state[j] === 2 && end > 0;
    if (seen) {
      const first = down.below[j] * width, second = Math.min(down.below[j] + 1, lying.rows - 1) * width;
      const share = down.share[j];
      for (let i = start; i < end; i++) entries[i] = rows[first + i] + share * (rows[second + i] - rows[first + i]);
      for (let i = start; i < end; i++) pixels[line + i] = table[entries[i]];
    }
    const unseen = (from, to) => {
      for (let i = from; i < to; i++) pixels[line + i] = across.state[i] === 0 ? 0 : hatched(i + j);
    };
    unseen(0, seen ? start : width);
    if (seen) unseen(end, width);
  }
}

function hatched(diagonal) {
  return diagonal % 14 < 2 ? 0x96969696 : 0xa5282828;
}

// --------------------------------------------------------------------------------------------------- contour lines

// Segments [x0, y0, x1, y1, ...] in fractions of the film for each level; none where they would crowd the film.
export function contours(grid, placement, strength, levels = LEVELS) {
  const [height, width] = placement.original;
  const across = Math.round(144 * Math.min(1, width / height)), down = Math.round(144 * Math.min(1, height / width));
  const values = interpolate(grid, placement, across, down);
  let field = Float32Array.from(values, strength);
  field = blurred(blurred(field, across, down), across, down); // bilinear maps have kinks at the patch borders
  const lines = levels.map((level) => segments(field, across, down, level));
  let length = 0;
  for (const line of lines) {
    for (let i = 0; i < line.length; i += 4) length += Math.hypot(line[i + 2] - line[i], line[i + 3] - line[i + 1]);
  }
  return length > CROWDED ? levels.map(() => []) : lines;
}

// Mean over 5 x 5 points, fewer at the edges; one axis after the other.
function blurred(field, width, height) {
  const along = (values, count, step, lines, stride) => {
    const result = new Float32Array(values.length);
    for (let line = 0; line < lines; line++) {
      for (let i = 0; i < count; i++) {
        let total = 0;
        const from = Math.max(0, i - 2), to = Math.min(count - 1, i + 2);
        for (let k = from; k <= to; k++) total += values[line * stride + k * step];
        result[line * stride + i * step] = total / (to - from + 1);
      }
    }
    return result;
  };
  return along(along(field, width, 1, height, width), height, width, width, 1);
}

// Marching squares between the points of a lattice; two opposite corners above the level are joined apart.
function segments(field, width, height, level) {
  const found = [];
  for (let y = 0; y + 1 < height; y++) {
    for (let x = 0; x + 1 < width; x++) {
      const at = y * width + x;
      const above = (field[at] >= level) + (field[at + 1] >= level) + (field[at + width] >= level) +
        (field[at + width + 1] >= level);
      if (above === 0 || above === 4) continue;
      const corners = [field[at], field[at + 1], field[at + width + 1], field[at + width]];
      const crossings = [];
      for (let edge = 0; edge < 4; edge++) {
        const from = corners[edge], to = corners[(edge + 1) % 4];
        if ((from >= level) === (to >= level) || Number.isNaN(from + to)) continue;
        const along = (level - from) / (to - from);
        const [u, v] = [[along, 0], [1, along], [1 - along, 1], [0, 1 - along]][edge];
        crossings.push((x + u + 0.5) / width, (y + v + 0.5) / height);
      }
      if (crossings.length === 4 || crossings.length === 8) found.push(...crossings);
    }
  }
  return found;
}

// ---------------------------------------------------------------------------------------------------------- places

// The average anatomy at a point of the film, in the patient's terms; "" where the film has no sides.
export function placeName(film, x, y) {
  if (!film.places.length) return "";
  const [across, down] = toStandard(film, x, y);
  const inside = ({ box }) => across >= box[0] && across <= box[2] && down >= box[1] && down <= box[3];
  const lung = film.places.find((place) => place.kind === "lung" && inside(place));
  const midline = film.places.find((place) => place.kind === "midline" && inside(place));
  if (lung) return midline?.name === "heart" ? `${lung.name}, over the heart` : lung.name;
  if (midline) return midline.name;
  return `outside the lungs, patient's ${across < 0.5 ? "right" : "left"}`;
}
