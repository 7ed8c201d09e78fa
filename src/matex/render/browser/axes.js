// The axes of a spectrogram: marks [[position, label], ...], positions in fractions from the left or the top.

// The value at a position: between two marks by a straight line, by its logarithm where the axis is of frequencies.
export function valueOn(marks, position, logarithmic = false) {
  const [below, above] = nearest(marks.map(([place]) => place), position);
  const values = marks.map(([, label]) => (logarithmic ? Math.log(Number(label)) : Number(label)));
  const value = line(position, marks[below][0], marks[above][0], values[below], values[above]);
  return logarithmic ? Math.exp(value) : value;
}

// The position of a time.
export function placeOf(marks, seconds) {
  const values = marks.map(([, label]) => Number(label));
  const [below, above] = nearest(values, seconds);
  return line(seconds, values[below], values[above], marks[below][0], marks[above][0]);
}

// The two marks around a place, or the two nearest ones beyond the ends.
function nearest(places, at) {
  const order = places.map((_, i) => i).sort((one, other) => places[one] - places[other]);
  const above = Math.min(Math.max(order.findIndex((i) => places[i] >= at), 1), order.length - 1);
  return places[order.at(-1)] < at ? order.slice(-2) : [order[above - 1], order[above]];
}

function line(x, x0, x1, y0, y1) {
  return x1 === x0 ? y0 : y0 + ((x - x0) / (x1 - x0)) * (y1 - y0);
}
