// Colors of numbers, and arrays on canvases.

function ramp(stops) {
  const table = new Uint8ClampedArray(256 * 4);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    for (let c = 0; c < 3; c++) {
      table[4 * i + c] = stops[low][c] + (place - low) * (stops[low + 1][c] - stops[low][c]);
    }
    table[4 * i + 3] = 255;
  }
  return table;
}

// From dark over orange to light; and purple, white, orange for what has a sign (PuOr).
export const SEQUENTIAL = ramp([[20, 20, 20], [120, 60, 10], [245, 130, 20], [255, 235, 200]]);
export const SIGNED = ramp([
  [84, 39, 136], [153, 142, 195], [216, 218, 235], [247, 247, 247], [254, 224, 182],
  [241, 163, 64], [179, 88, 6],
]);

/** Bytes (height, width) in the colors of a table. */
export function colored(bytes, width, height, table = SEQUENTIAL) {
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const colors = new Uint32Array(table.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = colors[bytes[i]];
  return image;
}

/** Numbers from -most to most as bytes, with 0 in the middle. */
export function signedBytes(values, most) {
  const bytes = new Uint8Array(values.length);
  const scale = most > 0 ? 127.5 / most : 0;
  for (let i = 0; i < values.length; i++) bytes[i] = Math.round(127.5 + values[i] * scale);
  return bytes;
}

/** Pixels (height, width, 3) as they are. */
export function photograph({ shape: [height, width], data }, start = 0) {
  const image = new ImageData(width, height);
  for (let i = 0, j = 3 * start * width * height; i < image.data.length; i += 4, j += 3) {
    image.data[i] = data[j];
    image.data[i + 1] = data[j + 1];
    image.data[i + 2] = data[j + 2];
    image.data[i + 3] = 255;
  }
  return image;
}

/** An ImageData as a canvas of its own size. */
export function canvasOf(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** The value that is drawn in full: of those that are not 0, one in 200 is beyond, else most were gray. */
function scaleOf(data) {
  const sorted = Float32Array.from(data, Math.abs).filter((value) => value > 0).sort();
  return sorted[Math.floor(0.995 * (sorted.length - 1))] ?? 1;
}

/** Numbers (height, width) or (height, width, 3) with a sign, as bytes around middle gray. */
export function aroundGray({ shape, data }) {
  const scale = 127 / scaleOf(data);
  return inGray({ shape, data: Uint8ClampedArray.from(data, (value) => 128 + value * scale) });
}

/** Numbers (height, width) from 0 up, as bytes from black to white. */
export function fromBlack({ shape, data }) {
  const scale = 255 / scaleOf(data);
  return inGray({ shape, data: Uint8ClampedArray.from(data, (value) => value * scale) });
}

/** Bytes (height, width) in gray, or (height, width, 3) as they are. */
function inGray({ shape, data }) {
  if (shape.length === 3) return photograph({ shape, data });
  const image = new ImageData(shape[1], shape[0]);
  data.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));
  return image;
}

/** A canvas as a picture with a sentence that says what it shows. */
export function pictured(image, label, properties = {}) {
  const canvas = canvasOf(image);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  return Object.assign(canvas, properties);
}

/** A number with three significant digits. */
export const number = (value) => String(Number(value.toPrecision(3)));

/** An element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
