// What mattered: parts of the picture are hidden, and the score is watched. Coarse first, then finer.

import { view } from "./wire.js";
import { show, state, watch } from "./state.js";
import { SIGNED, canvasOf, colored, element, number, photograph, signedBytes } from "./paint.js";
import { outline, overlay, placeOf, showInstead, stage } from "./stage.js";
import { attempt, say } from "./notes.js";

const panel = document.getElementById("panel");
const field = (key, value, least, most) => element("input", {
  type: "number", min: least, max: most, value,
  onchange: (event) => show({ [key]: event.target.value }, { replace: true }),
});
const windowField = field("window", 32, 1, 224);
const strideField = field("stride", 8, 1, 224);
const fillField = element("select", { onchange: () => show({ fill: fillField.value }, { replace: true }) },
  ...[["", ""], ["gray", "gray"], ["black", "black"], ["white", "white"], ["blur", "blurred"]]
    .map(([value, text]) => element("option", { value }, text)));
const scoreField = element("select", { onchange: () => show({ score: scoreField.value }, { replace: true }) },
  ...[["", "log probability"], ["probability", "probability"], ["logit", "raw score"]]
    .map(([value, text]) => element("option", { value }, text)));
const targetField = element("input", {
  type: "text", placeholder: "the best class", title: "a class by its name or number, or a map, LAYER:CHANNEL",
  onchange: () => show({ target: targetField.value.trim() }, { replace: true }),
});
const heading = element("h2", {});
const facts = element("dl", { className: "facts" });
const map = element("canvas", { className: "large", role: "img", tabIndex: 0 });
const live = element("p", { "aria-live": "polite" });
const body = element("div", {},
  element("div", { className: "controls" },
    element("label", {}, "what matters for", targetField), element("label", {}, "window", windowField), element("label", {}, "stride", strideField),
    element("label", {}, "hide with", fillField), element("label", {}, "score of a class", scoreField)),
  heading, facts, map,
  element("p", { className: "hint" },
    "Orange: hiding it made the score fall, so it mattered. Purple: hiding it helped. Point at a place of this map, or drag a box on the picture, to see what is left. Arrow keys move the window when the map has the focus."),
  live);

const asked = () => ({
  picture: state.picture, target: state.target ?? "", window: windowField.value,
  ...(state.fill ? { fill: state.fill } : {}), ...(state.score ? { score: state.score } : {}),
});

const fact = (what, value) => element("div", {}, element("dt", {}, what), element("dd", {}, value));

let shown = null; // the answer that is drawn
let at = null; // the window that is pointed at: [row, column] of its place among all

function drawPart(answer) {
  if (state.view !== "hidden") return;
  if (answer.arrays.heatmap) drawMap(answer);
  else facts.append(fact("arithmetic", `${(100 * answer.header.share).toPrecision(2)} % of whole passes`));
}

function drawMap(answer) {
  const { header, arrays } = shown = answer;
  const { shape: [height, width], data } = arrays.heatmap;
  let most = 0;
  for (const value of data) most = Math.max(most, Math.abs(value));
  const image = canvasOf(colored(signedBytes(data, most), width, height, SIGNED));
  [map.width, map.height] = [width, height];
  map.getContext("2d").drawImage(image, 0, 0);
  map.classList.remove("stale");
  map.dataset.asked = `${state.picture} ${state.target ?? ""}`;
  map.dataset.stride = header.stride;
  map.dataset.finest = header.finest;
  map.dataset.most = most;
  heading.textContent = `What mattered for ${header.target}`;
  map.setAttribute("aria-label", `Occlusion of ${header.target}: a drop of up to ${number(most)}`);
  facts.replaceChildren(
    fact("positions", String(arrays.drop.data.length)), fact("window", `${header.window} × ${header.window}`),
    fact("stride", String(header.stride)), fact("largest", `${number(most)}, ${header.unit}`));
  drawOverlay();
}

function drawOverlay() {
  overlay("hidden", (context) => {
    context.globalAlpha = 0.55;
    context.drawImage(map, 0, 0, context.canvas.width, context.canvas.height);
    context.globalAlpha = 1;
  });
}

async function load() {
  if (state.view !== "hidden" || !state.picture) return;
  say("hiding parts of the picture");
  const wanted = JSON.stringify(asked());
  const answer = await attempt(() => view("hidden", { ...asked(), stride: strideField.value }, { each: drawPart }));
  if (answer) say("");
  else if (wanted === JSON.stringify(asked())) map.classList.add("stale");
}

let covered = null; // the box that is hidden

async function cover(box) {
  const [top, left, bottom, right] = covered = box;
  overlay("hidden", null);
  overlay("box", outline(box));
  const answer = await attempt(() => view("covered", { ...asked(), top, left, bottom, right }));
  if (!answer || covered !== box) return;
  showInstead(canvasOf(photograph(answer.arrays.pixels)));
  const { before, after, target, classes } = answer.header;
  const seen = classes ? `; now ${classes[0].name} (${classes[0].probability.toFixed(3)})` : "";
  live.textContent = `${target}: ${number(before)} with everything shown, ${number(after)} with the box hidden${seen}`;
  live.dataset.after = after;
}

/** Hide the window at a place among all, and say what that did. */
function point([row, col]) {
  const { rows, cols, drop } = shown.arrays;
  at = [Math.min(Math.max(row, 0), rows.data.length - 1), Math.min(Math.max(col, 0), cols.data.length - 1)];
  const [top, left] = [rows.data[at[0]], cols.data[at[1]]];
  const { window: side, baseline, target } = shown.header;
  const fall = drop.data[at[0] * cols.data.length + at[1]];
  live.textContent = `${target}: ${number(baseline)} with everything shown, ${number(baseline - fall)} with the window hidden`;
  cover([top, left, top + side, left + side]);
}

const nearest = (starts, place) => starts.reduce((best, start, i) =>
  Math.abs(start - place) < Math.abs(starts[best] - place) ? i : best, 0);

function startPointing() {
  map.addEventListener("pointermove", (event) => {
    if (!shown) return;
    const box = map.getBoundingClientRect();
    const half = shown.header.window / 2;
    const row = ((event.clientY - box.top) / box.height) * map.height - half;
    const col = ((event.clientX - box.left) / box.width) * map.width - half;
    const next = [nearest(shown.arrays.rows.data, row), nearest(shown.arrays.cols.data, col)];
    if (!at || next[0] !== at[0] || next[1] !== at[1]) point(next);
  });
  map.addEventListener("pointerleave", release);
  map.addEventListener("blur", release);
  map.addEventListener("keydown", (event) => {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!by || !shown) return;
    event.preventDefault();
    point(at ? [at[0] + by[0], at[1] + by[1]] : [0, 0]);
  });
}

/** Show the whole picture again, and what mattered on it. */
function release() {
  at = null;
  clear();
  showInstead(null);
  if (shown && state.view === "hidden") drawOverlay();
}

function startDragging() {
  let from = null;
  stage.addEventListener("pointerdown", (event) => {
    if (state.view !== "hidden") return;
    from = placeOf(event);
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = placeOf(event);
    const [top, left] = [Math.min(from[0], to[0]), Math.min(from[1], to[1])];
    const [bottom, right] = [Math.max(from[0], to[0]) + 1, Math.max(from[1], to[1]) + 1];
    cover([top, left, bottom, right]);
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => { from = null; });
}

function clear() {
  covered = null;
  for (const name of ["hidden", "box"]) overlay(name, null);
  live.textContent = "";
}

export function startHidden(network) {
  for (const one of [windowField, strideField]) one.max = Math.min(...network.image);
  startDragging();
  startPointing();
  const settle = (changed) => {
    const here = state.view === "hidden";
    if (changed && (changed.has("view") || changed.has("picture"))) { shown = null; release(); }
    targetField.value = state.target ?? "";
    windowField.value = state.window ?? 32;
    strideField.value = state.stride ?? 8;
    fillField.value = state.fill ?? "";
    scoreField.value = state.score ?? "";
    scoreField.disabled = (state.target ?? "").includes(":");
    const asked = scoreField.disabled ? network.name : network.classifierName;
    fillField.options[0].textContent = { mean: "training mean", gray: "gray, as its mean is not known" }[network.fills[asked]] ?? "";
    fillField.options[1].hidden = network.fills[asked] === "gray";
    if (!here) return;
    if (!changed || changed.has("view")) panel.replaceChildren(body);
    if (!changed || ["view", "picture", "target", "window", "stride", "fill", "score"].some((key) => changed.has(key))) load();
  };
  watch(settle);
  settle();
}
