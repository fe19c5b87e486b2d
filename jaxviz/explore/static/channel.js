// One channel: its map on the picture, and the parts that say more of it.

import { show, state, watch } from "./state.js";
import { canvasOf, colored, element, number } from "./paint.js";
import { overlay } from "./stage.js";
import { currentMaps } from "./wall.js";
import { channel, step } from "./chosen.js";
import { loadPatches, patches } from "./patches.js";
import { gradients } from "./gradients.js";
import { effects } from "./effects.js";
import { spread } from "./spread.js";
import { color } from "./color.js";
import { made } from "./made.js";

const SIDE = 448;
const panel = document.getElementById("panel");
const heading = element("h2", {});
const facts = element("dl", { className: "facts" });
const map = element("canvas", { className: "large", role: "img", title: "click a unit to choose it", onclick: chooseUnit });
const folds = [gradients, effects, spread, color, made];
const body = element("div", {},
  element("div", { className: "controls" },
    element("button", { type: "button", onclick: () => step(-1) }, "← previous"),
    element("button", { type: "button", onclick: () => step(1) }, "next →"),
    element("button", { type: "button", onclick: () => show({ view: "hidden", target: `${state.layer}:${channel()}${state.row ? `@${state.row},${state.col}` : ""}` }) },
      "What mattered for it?"),
    element("button", { type: "button", onclick: () => show({ view: "wall" }) }, "All channels")),
  heading, facts,
  element("h3", {}, "Where it fires in this picture"), map,
  element("h3", {}, "What excites it most, among the pictures"), patches,
  ...folds.map((one) => one.part));

const fact = (what, value) => element("div", {}, element("dt", {}, what), element("dd", {}, value));

/** The bytes of the channel's map; null while that is not here. */
function ownMap() {
  const maps = currentMaps();
  if (state.view !== "channel" || !maps || maps.header.layer !== state.layer) return null;
  const { bytes, low, step: steps } = maps.arrays;
  const [, rows, cols] = bytes.shape;
  const one = channel();
  const own = bytes.data.subarray(one * rows * cols, (one + 1) * rows * cols);
  return { one, own, rows, cols, valueOf: (place) => low.data[one] + own[place] * steps.data[one] };
}

function drawMap() {
  const found = ownMap();
  if (!found) return overlay("map", null);
  const { one, own, rows, cols, valueOf } = found;
  [map.width, map.height] = [SIDE, Math.round((SIDE * rows) / cols)];
  const context = map.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvasOf(colored(own, cols, rows)), 0, 0, map.width, map.height);
  const place = own.indexOf(Math.max(...own));
  const [row, col] = [Math.floor(place / cols), place % cols];
  const peak = valueOf(place);
  map.setAttribute("aria-label", `Channel ${one}: up to ${number(peak)}, most at row ${row}, column ${col}.`);
  map.dataset.channel = one;
  map.dataset.layer = state.layer;
  heading.textContent = `${state.layer}, channel ${one}`;
  facts.replaceChildren(
    fact("largest here", number(peak)), fact("units", `${rows} × ${cols}`),
    fact("at", `row ${row}, column ${col}`));
  const unit = state.row ? Number(state.row) * cols + Number(state.col) : -1;
  if (unit >= 0 && unit < own.length) {
    const [width, height] = [map.width / cols, map.height / rows];
    context.lineWidth = 3;
    context.strokeStyle = "#4da3ff";
    context.strokeRect(Number(state.col) * width, Number(state.row) * height, width, height);
    facts.append(fact("chosen", `row ${state.row}, column ${state.col}: ${number(valueOf(unit))}`));
  }
  overlayMap(own, rows, cols, peak);
}

function overlayMap(own, rows, cols, peak) {
  overlay("map", (canvas) => {
    const flat = document.createElement("canvas");
    [flat.width, flat.height] = [cols, rows];
    const alpha = flat.getContext("2d").createImageData(cols, rows);
    own.forEach((value, i) => alpha.data.set([255, 122, 0, peak > 0 ? value * 0.75 : 0], 4 * i));
    flat.getContext("2d").putImageData(alpha, 0, 0);
    canvas.imageSmoothingEnabled = true;
    canvas.drawImage(flat, 0, 0, canvas.canvas.width, canvas.canvas.height);
  });
}

function chooseUnit(event) {
  const found = ownMap();
  if (!found) return;
  const place = (offset, side, number) => String(Math.min(Math.floor((offset / side) * number), number - 1));
  show({
    row: place(event.offsetY, map.clientHeight, found.rows), col: place(event.offsetX, map.clientWidth, found.cols),
  }, { replace: true });
}

async function load() {
  const { layer } = state;
  const one = channel();
  const title = await loadPatches();
  if (title && title !== `channel ${one}`) heading.textContent = `${layer}, channel ${one}: ${title}`;
}

export function startChannel(network) {
  if (!network.classifierName || network.classifierName !== network.name) {
    effects.part.remove(); // a network without classes
    folds.splice(folds.indexOf(effects), 1);
  }
  const settle = (changed) => {
    const here = state.view === "channel";
    if (here && (!changed || changed.has("view"))) panel.replaceChildren(body);
    if (!here) return overlay("map", null);
    if (state.channel && state.channel !== String(channel())) {
      return show({ channel: String(channel()) }, { replace: true });
    }
    drawMap();
    if (!changed || ["view", "layer", "channel"].some((key) => changed.has(key))) load();
  };
  addEventListener("maps", drawMap);
  watch(settle);
  settle();
  for (const one of folds) one.start();
}
