// The wall: every channel of a layer, each a small map of the picture.

import { view } from "./wire.js";
import { show, state, watch } from "./state.js";
import { canvasOf, colored, element, number } from "./paint.js";
import { fieldBox, outline, overlay } from "./stage.js";
import { attempt, say } from "./notes.js";
import { loadTiles, tilesHint, tilesOf } from "./tiles.js";

const GAP = 4;
const panel = document.getElementById("panel");
let network = null;
let current = null; // the answer that is drawn
let order = [];
let selected = 0; // a place in the order

const peaks = ({ low, step }) => Float32Array.from(low.data, (value, i) => value + 255 * step.data[i]);

const controls = element("div", { className: "controls" });
const sorting = element("select", { onchange: () => show({ order: sorting.value }, { replace: true }) },
  element("option", { value: "" }, "strongest first"), element("option", { value: "number" }, "by number"));
const scaling = element("select", { onchange: () => show({ scale: scaling.value }, { replace: true }) },
  element("option", { value: "" }, "each its own scale"), element("option", { value: "one" }, "one scale for all"));
const showing = element("select", { onchange: () => show({ show: showing.value }, { replace: true }) },
  element("option", { value: "" }, "its map"), element("option", { value: "patches" }, "its best patch"),
  element("option", { value: "made" }, "the image made for it"));
const found = element("p", { className: "hint", "aria-live": "polite" });
controls.append(element("label", {}, "order", sorting), element("label", {}, "scale", scaling),
  element("label", {}, "show", showing));
const canvas = element("canvas", { className: "wall", tabIndex: 0, role: "application",
  "aria-label": "The layer's channels. Arrow keys choose one, Enter opens it." });
const body = element("div", {}, controls, found, canvas);

function grid() {
  const [, rows, cols] = current.arrays.bytes.shape;
  const width = Math.max(canvas.parentElement?.clientWidth || 800, 200);
  const tile = Math.min(96, Math.max(28, rows > 1 ? 76 : 28));
  const across = Math.max(1, Math.floor((width + GAP) / (tile + GAP)));
  return { rows, cols, tile, across, width: across * (tile + GAP) - GAP };
}

/** All maps on one canvas, and where each is: one drawing for hundreds of channels. */
function sheetOf(least, most) {
  const { bytes, low, step } = current.arrays;
  const [channels, rows, cols] = bytes.shape;
  const across = Math.ceil(Math.sqrt(channels));
  const width = across * cols;
  const shades = new Uint8Array(width * Math.ceil(channels / across) * rows);
  const scale = most > least ? 255 / (most - least) : 0;
  for (let channel = 0, from = 0; channel < channels; channel++) {
    const [factor, base] = state.scale === "one"
      ? [step.data[channel] * scale, (low.data[channel] - least) * scale] : [1, 0];
    let to = Math.floor(channel / across) * rows * width + (channel % across) * cols;
    for (let row = 0; row < rows; row++, to += width) {
      for (let col = 0; col < cols; col++) shades[to + col] = bytes.data[from++] * factor + base;
    }
  }
  const canvas = canvasOf(colored(shades, width, shades.length / width));
  return { canvas, place: (channel) => [(channel % across) * cols, Math.floor(channel / across) * rows, cols, rows] };
}

function paint() {
  if (!current || state.view !== "wall") return;
  const { bytes, low } = current.arrays;
  const [channels] = bytes.shape;
  const strengths = peaks(current.arrays);
  order = [...strengths.keys()];
  if (state.order !== "number") order.sort((a, b) => strengths[b] - strengths[a] || a - b);
  const { tile, across, width } = grid();
  const ratio = Math.min(devicePixelRatio || 1, 2);
  canvas.width = width * ratio;
  canvas.height = (Math.ceil(channels / across) * (tile + GAP) - GAP) * ratio;
  canvas.style.width = `${width}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const tiles = tilesOf(current.header.layer);
  const sheet = sheetOf(Math.min(...low.data), Math.max(...strengths));
  order.forEach((channel, place) => {
    const [x, y] = [(place % across) * (tile + GAP), Math.floor(place / across) * (tile + GAP)];
    const own = tiles?.(channel);
    context.imageSmoothingEnabled = Boolean(own);
    if (own) context.drawImage(own.canvas(), x, y, tile, tile);
    else context.drawImage(sheet.canvas, ...sheet.place(channel), x, y, tile, tile);
  });
  if (document.activeElement === canvas) frame(context, selected);
  const { layer, picture } = current.header;
  canvas.classList.toggle("stale", layer !== state.layer || Boolean(picture && picture !== state.picture));
  canvas.dataset.layer = current.header.layer;
  canvas.dataset.picture = current.header.picture ?? "camera";
  canvas.dataset.order = order.join(" ");
  canvas.dataset.tile = tile;
  canvas.dataset.show = tiles ? state.show : "maps";
}

function frame(context, place) {
  const { tile, across } = grid();
  context.lineWidth = 3;
  context.strokeStyle = "#4da3ff";
  context.strokeRect((place % across) * (tile + GAP) + 1, Math.floor(place / across) * (tile + GAP) + 1, tile - 2, tile - 2);
}

/** The unit under a pointer: {channel, row, col, place}, or null. */
function unitAt(event) {
  const { rows, cols, tile, across } = grid();
  const [x, y] = [event.offsetX, event.offsetY];
  const column = Math.floor(x / (tile + GAP));
  const place = Math.floor(y / (tile + GAP)) * across + column;
  if (column >= across || place >= order.length) return null;
  const inside = [(y % (tile + GAP)) / tile, (x % (tile + GAP)) / tile];
  if (inside[0] >= 1 || inside[1] >= 1) return null;
  return { channel: order[place], row: Math.floor(inside[0] * rows), col: Math.floor(inside[1] * cols), place };
}

function valueOf(channel, row, col) {
  const { bytes, low, step } = current.arrays;
  const [, rows, cols] = bytes.shape;
  return low.data[channel] + step.data[channel] * bytes.data[(channel * rows + row) * cols + col];
}

export const layerOf = (name) => network.layers.find((layer) => layer.name === name);

function hover(event) {
  const unit = current && unitAt(event);
  if (!unit) return leave();
  const own = tilesOf(current.header.layer)?.(unit.channel);
  if (own) {
    found.textContent = own.said;
    overlay("field", null);
    return;
  }
  const layer = layerOf(current.header.layer);
  found.textContent = `channel ${unit.channel}, row ${unit.row}, column ${unit.col}: ${number(valueOf(unit.channel, unit.row, unit.col))}`;
  overlay("field", outline(fieldBox(layer.field, [unit.row, unit.col])));
}

function leave() {
  found.textContent = tilesHint()
    ?? "Hover over a unit to see on the picture what it sees; click a channel to open it.";
  overlay("field", null);
}

/** Arrow keys choose a channel, Enter opens it. */
export function chooseInWall(event) {
  if (!current) return;
  const { across } = grid();
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
  if (step) {
    canvas.focus({ preventScroll: true });
    selected = Math.min(Math.max(selected + step, 0), order.length - 1);
    found.textContent = `channel ${order[selected]}, up to ${number(peaks(current.arrays)[order[selected]])}`;
    paint();
    event.preventDefault();
  } else if (event.key === "Enter" && document.activeElement === canvas) {
    show({ view: "channel", channel: String(order[selected]), row: null, col: null });
  }
}

/** Draw an answer of the camera; null goes back to the picture. */
export function drawWall(answer) {
  if (answer) {
    current = answer;
    paint();
  } else {
    load();
  }
}

/** The maps of the picture that are there, for other views. */
export const currentMaps = () => current;

async function load() {
  if (!state.picture || !state.layer) return;
  if (current?.header.picture === state.picture && current.header.layer === state.layer) return;
  const { picture, layer } = state;
  const answer = await attempt(() => view("maps", { picture, layer }));
  if (!answer) return;
  current = answer;
  current.header.picture = picture;
  say("");
  paint();
  dispatchEvent(new CustomEvent("maps"));
}

export function startWall(given) {
  network = given;
  canvas.addEventListener("pointermove", hover);
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("click", (event) => {
    const unit = unitAt(event);
    if (!unit) return;
    const place = tilesOf(current.header.layer)?.(unit.channel) ? { row: null, col: null } : { row: String(unit.row), col: String(unit.col) };
    show({ view: "channel", channel: String(unit.channel), ...place });
  });
  canvas.addEventListener("keydown", chooseInWall);
  for (const event of ["focus", "blur"]) canvas.addEventListener(event, paint);
  addEventListener("resize", paint);
  const settle = (changed) => {
    if (state.view === "wall") {
      if (!changed || changed.has("view")) panel.replaceChildren(body);
      if (!changed || changed.has("view") || changed.has("show")) leave();
      loadTiles(paint);
    }
    showing.value = state.show ?? "";
    sorting.value = state.order ?? "";
    scaling.value = state.scale ?? "";
    const isNeeded = ["wall", "channel"].includes(state.view);
    if (isNeeded && (!changed || ["picture", "layer", "view"].some((key) => changed.has(key)))) load();
    paint();
  };
  watch(settle);
  settle();
}
