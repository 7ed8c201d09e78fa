// The grey values of a film's picture, read at a point or drawn with a window, a level and inversion.

export class GreyPicture {
  // picture: an image that has loaded.
  constructor(picture) {
    this.picture = picture;
    this.canvas = document.createElement("canvas");
    this.canvas.width = picture.naturalWidth ?? picture.width;
    this.canvas.height = picture.naturalHeight ?? picture.height;
  }

  // Pixels of the picture, decoded when they are first needed.
  get source() {
    if (!this.decoded) {
      const { width, height } = this.canvas;
      const canvas = document.createElement("canvas");
      canvas.width = width;
      canvas.height = height;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(this.picture, 0, 0);
      this.decoded = context.getImageData(0, 0, width, height);
    }
    return this.decoded;
  }

  // Grey value at a point in fractions of the film.
  at(x, y) {
    const { width, height } = this.canvas;
    const column = Math.min(Math.floor(x * width), width - 1), row = Math.min(Math.floor(y * height), height - 1);
    return this.source.data[4 * (row * width + column)];
  }

  // What is drawn on the screen, at the picture's own resolution.
  windowed({ level, width }, inverted) {
    if (!inverted && level === 127.5 && width === 255) return this.picture;
    const table = Uint8ClampedArray.from({ length: 256 }, (_, value) => {
      const shown = ((value - level) / width + 0.5) * 255;
      return inverted ? 255 - Math.min(Math.max(shown, 0), 255) : shown;
    });
    const target = new ImageData(this.canvas.width, this.canvas.height);
    const from = this.source.data, to = target.data;
    for (let i = 0; i < from.length; i += 4) {
      to[i] = table[from[i]];
      to[i + 1] = table[from[i + 1]];
      to[i + 2] = table[from[i + 2]];
      to[i + 3] = 255;
    }
    this.canvas.getContext("2d").putImageData(target, 0, 0);
    return this.canvas;
  }
}
