// Filters: of the first layer in color, of later ones slice by slice, in gray.

import { view } from "./wire.js";
import { show, state, watch } from "./state.js";
import { canvasOf, element, number, photograph } from "./paint.js";
import { attempt } from "./notes.js";

const panel = document.getElementById("panel");
const heading = element("h2", {});
const hint = element("p", { className: "hint" });
const rows = element("div", { className: "rows" });
const more = element("button", { type: "button" }, "more filters");
const body = element("div", {}, heading, hint, rows, more);

/** One filter: pixels (height, width, 3), or slices (channels, height, width) side by side. */
function drawn(form, { shape, data }, place) {
  if (form === "filters") return canvasOf(photograph({ shape: shape.slice(1), data }, place));
  const [, channels, height, width] = shape;
  const across = Math.ceil(Math.sqrt(channels));
  const down = Math.ceil(channels / across);
  const canvas = element("canvas", { width: across * (width + 1) - 1, height: down * (height + 1) - 1 });
  const context = canvas.getContext("2d");
  for (let channel = 0; channel < channels; channel++) {
    const image = new ImageData(width, height);
    const start = (place * channels + channel) * height * width;
    for (let i = 0; i < height * width; i++) image.data.set([data[start + i], data[start + i], data[start + i], 255], 4 * i);
    context.putImageData(image, (channel % across) * (width + 1), Math.floor(channel / across) * (height + 1));
  }
  return canvas;
}

async function load(start = 0) {
  const { layer } = state;
  heading.textContent = `The filters of ${layer}`;
  if (!start) rows.replaceChildren();
  more.hidden = true;
  hint.textContent = "";
  let answer;
  try {
    answer = await view("filters", { layer, start });
  } catch (error) {
    hint.textContent = error.message;
    return;
  }
  if (!answer || layer !== state.layer) return;
  const { form, filters, largest } = answer.header;
  hint.textContent = form === "filters"
    ? `${filters} filters, each as the picture it answers to most; middle gray is a weight of zero. The largest weight is ${number(largest)}.`
    : `${filters} filters; each square is one channel that a filter reads: lighter adds, darker subtracts. The largest weight is ${number(largest)}.`;
  const { shape } = answer.arrays.pixels;
  for (let i = 0; i < shape[0]; i++) {
    const canvas = drawn(form, answer.arrays.pixels, i);
    canvas.className = "pixels";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Filter ${start + i}`);
    rows.append(element("figure", {}, canvas, element("figcaption", {},
      element("button", { type: "button", onclick: () => show({ view: "channel", channel: String(start + i) }) }, `channel ${start + i}`))));
  }
  rows.dataset.layer = layer;
  const next = start + shape[0];
  more.hidden = next >= filters;
  more.onclick = () => attempt(() => load(next));
}

export function startFilters() {
  const settle = (changed) => {
    if (state.view !== "filters") return;
    if (!changed || changed.has("view")) panel.replaceChildren(body);
    if (!changed || changed.has("view") || changed.has("layer")) load();
  };
  watch(settle);
  settle();
}
