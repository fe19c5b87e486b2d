// The picture, large, with what lies on it: a unit's field, a map, what mattered.

import { pictureAddress } from "./wire.js";
import { state, watch } from "./state.js";

const canvas = document.getElementById("stage");
const layers = new Map(); // what is drawn on the picture, by name: functions of (context, scale)
let base = null;
let size = [224, 224];

/** Draw something on the picture, under a name; null takes it away. */
export function overlay(name, paint) {
  if (paint) layers.set(name, paint);
  else layers.delete(name);
  draw();
}

/** Show other pixels, such as a camera's or a picture with a part hidden; null for the picture. */
let instead = null;
export function showInstead(image) {
  instead = image;
  draw();
}

export function draw() {
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.clearRect(0, 0, canvas.width, canvas.height);
  const shown = instead ?? base;
  if (shown) context.drawImage(shown, 0, 0, canvas.width, canvas.height);
  const scale = [canvas.width / size[1], canvas.height / size[0]];
  for (const paint of layers.values()) paint(context, scale);
}

/** Where on the picture a pointer is, as (row, col) of its pixels. */
export function placeOf(event) {
  const box = canvas.getBoundingClientRect();
  const col = Math.floor(((event.clientX - box.left) / box.width) * size[1]);
  const row = Math.floor(((event.clientY - box.top) / box.height) * size[0]);
  return [Math.min(Math.max(row, 0), size[0] - 1), Math.min(Math.max(col, 0), size[1] - 1)];
}

/** Outline a half-open box (top, left, bottom, right). */
export function outline([top, left, bottom, right], color = "#ff7a00") {
  return (context, [x, y]) => {
    for (const [width, ink] of [[5, "#000"], [2.5, color]]) {
      context.lineWidth = width;
      context.strokeStyle = ink;
      context.strokeRect(left * x, top * y, (right - left) * x, (bottom - top) * y);
    }
  };
}

/** The pixels that a unit of a layer sees, clipped to the picture. */
export function fieldBox({ size: sizes, stride, offset, units }, unit) {
  const span = (axis) => {
    const length = size[axis];
    let low = Math.trunc(unit[axis] * stride[axis] + offset[axis]);
    let high = low + sizes[axis];
    if (units[axis].length) [low, high] = units[axis][unit[axis]];
    return [Math.max(low, 0), Math.min(high, length)];
  };
  const [rows, cols] = [span(0), span(1)];
  return [rows[0], cols[0], rows[1], cols[1]];
}

export function startStage(network) {
  size = network.image;
  const load = () => {
    base = null;
    if (!state.picture) return draw();
    const image = new Image();
    const picture = state.picture;
    image.onload = () => {
      if (picture !== state.picture) return;
      base = image;
      canvas.dataset.picture = picture;
      draw();
    };
    image.src = pictureAddress(picture);
  };
  watch((changed) => changed.has("picture") && load());
  load();
}

export { canvas as stage };
