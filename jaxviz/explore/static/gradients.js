// Gradients: what of the picture a channel answers to. Their origin can be frozen while one browses.

import { view } from "./wire.js";
import { show, state } from "./state.js";
import { aroundGray, element, fromBlack, number, pictured } from "./paint.js";
import { asked } from "./chosen.js";
import { fold, open } from "./folds.js";

const METHODS = { "guided-backpropagation": "guided backpropagation", deconvolution: "deconvolution", gradient: "gradient" };
const FORMS = { color: "in color", gray: "in gray", norm: "norm", blurred: "blurred norm" };
const MEANS = {
  color: "Middle gray is zero; the color of a pixel is the change of it that excites more.",
  gray: "Middle gray is zero; where it is lighter, more light excites more; where it is darker, less light does.",
  norm: "The lighter a pixel, the more a change of it matters, in any direction.",
  blurred: "The norm, blurred by 4 pixels: changes matter most in the light parts.",
};
const ORIGINS = { map: "its whole map", unit: "one unit" };
const first = (choices) => Object.keys(choices)[0];

const select = (key, choices) => element("select", {
  onchange: ({ target }) => show({ [key]: target.value === first(choices) ? null : target.value }, { replace: true }),
}, ...Object.entries(choices).map(([value, text]) => element("option", { value }, text)));

const method = select("method", METHODS);
const form = select("form", FORMS);
const origin = select("origin", ORIGINS);
const freezing = element("button", { type: "button", title: "keep this origin while other channels and layers are shown", onclick: freeze });
const said = element("p", { className: "hint", "aria-live": "polite" });
const image = element("div", { className: "large-figure" });
let place = null; // the unit of the last answer, {row, col}, if it was of one
let shown = null; // the last answer, and what it is of

/** What is frozen: {layer, channel, origin, row, col}, or null. */
export function frozen() {
  const found = /^(.+):(\d+)(?:@(\d+),(\d+))?$/.exec(state.frozen ?? "");
  if (!found) return null;
  const [, layer, channel, row, col] = found;
  return { layer, channel, origin: row === undefined ? "map" : "unit", ...(row === undefined ? {} : { row, col }) };
}

/** Freeze the origin that is shown, or let go. */
export function freeze() {
  if (state.frozen) return show({ frozen: null });
  const { layer, channel } = asked();
  const unit = state.origin === "unit" && place ? `@${place.row},${place.col}` : "";
  show({ frozen: `${layer}:${channel}${unit}` });
}

const chosenMethod = () => (Object.hasOwn(METHODS, state.method) ? state.method : first(METHODS));

/** What the view of gradients is asked for. */
export function wanted() {
  const one = frozen() ?? {
    ...asked(), origin: state.origin ?? "map",
    ...(state.origin === "unit" && state.row ? { row: state.row, col: state.col } : {}),
  };
  return { ...one, picture: state.picture, method: chosenMethod() };
}

async function load() {
  [method.value, form.value] = [chosenMethod(), state.form ?? first(FORMS)];
  [origin.value, origin.disabled] = [frozen()?.origin ?? state.origin ?? "map", Boolean(state.frozen)];
  freezing.textContent = state.frozen ? "Let go" : "Freeze";
  freezing.setAttribute("aria-pressed", Boolean(state.frozen));
  const now = wanted();
  if (shown && JSON.stringify(shown.wanted) === JSON.stringify(now)) return draw();
  said.textContent = "going back through the network…";
  try {
    const answer = await view("gradients", now);
    if (!answer) return;
    shown = { wanted: now, ...answer };
    draw();
  } catch (error) {
    shown = null;
    image.replaceChildren();
    said.textContent = error.message;
  }
}

function draw() {
  const { wanted, header, arrays } = shown;
  const chosen = Object.hasOwn(FORMS, state.form) ? state.form : first(FORMS);
  place = header.origin === "unit" ? header : null;
  const unit = place ? `the unit at row ${place.row}, column ${place.col} of ` : "";
  const name = `${unit}channel ${wanted.channel} of ${wanted.layer}`;
  const drawn = chosen === "color" || chosen === "gray" ? aroundGray(arrays[chosen]) : fromBlack(arrays[chosen]);
  image.replaceChildren(pictured(drawn, `${METHODS[wanted.method]} of ${name}, ${FORMS[chosen]}`, { className: "large" }));
  Object.assign(image.dataset, { method: wanted.method, form: chosen, channel: wanted.channel, layer: wanted.layer, picture: wanted.picture });
  const value = place ? `, which is ${number(header.score)} here` : "";
  const means = arrays.norm.data.some((one) => one > 0) ? MEANS[chosen]
    : `All is zero: ${place ? "this unit" : "the channel"} does not fire here.`;
  said.textContent = `${state.frozen ? "Frozen at " : "Of "}${name}${value}. ${means}`;
}

/** The next method, or a form by its number; opens the part. */
export function choose({ next = false, form: place = null }) {
  open("gradients");
  const names = Object.keys(METHODS);
  const after = names[(names.indexOf(chosenMethod()) + 1) % names.length];
  if (next) show({ method: after === names[0] ? null : after }, { replace: true });
  if (place !== null) show({ form: place ? Object.keys(FORMS)[place] : null }, { replace: true });
}

/** From the whole map to one unit, and back. */
export function turnOrigin() {
  open("gradients");
  if (!state.frozen) show({ origin: state.origin === "unit" ? null : "unit" }, { replace: true });
}

export const gradients = fold("gradients", "What of this picture it answers to",
  ["picture", "method", "form", "origin", "row", "col", "frozen"], { update: load },
  element("div", { className: "controls" },
    element("label", {}, "by", method), element("label", {}, "shown", form),
    element("label", {}, "from", origin), freezing),
  image, said);
