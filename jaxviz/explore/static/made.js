// The image that is made for a channel, as it comes to be. Leaving the channel ends the work.

import { drop, view } from "./wire.js";
import { element, number, photograph, pictured } from "./paint.js";
import { attempt } from "./notes.js";
import { asked } from "./chosen.js";
import { fold } from "./folds.js";

const STEPS = 128;
const bar = element("progress", { max: STEPS, value: 0, "aria-label": "Steps done" });
const said = element("p", { className: "hint", "aria-live": "polite" });
const work = element("div", { className: "controls", hidden: true }, bar,
  element("button", { type: "button", onclick: stop }, "Stop"));
const image = element("div", { className: "large-figure" });

function draw({ header: { done, steps, peak }, arrays: { pixels } }) {
  bar.value = done;
  said.textContent = peak === undefined
    ? `${done} of ${steps} steps`
    : `After ${steps} steps it excites the channel up to ${number(peak)}.`;
  if (peak !== undefined) work.hidden = true;
  if (!pixels) return;
  image.replaceChildren(pictured(photograph(pixels), `An image made for channel ${asked().channel}`, { className: "large" }));
  image.dataset.done = done;
  image.dataset.finished = peak !== undefined;
}

async function make() {
  const mine = asked();
  bar.value = 0;
  work.hidden = false;
  said.textContent = "The first steps take some seconds, while the computation is compiled.";
  await attempt(() => view("made", { ...mine, steps: STEPS }, { each: draw }));
  if (mine.layer === asked().layer && mine.channel === asked().channel) work.hidden = true;
}

function leave() {
  drop("made");
  work.hidden = true;
  said.textContent = "";
  image.replaceChildren();
}

function stop() {
  leave();
  said.textContent = "Stopped. Close and open this part to begin again.";
}

export const made = fold("made", "An image made for it", [], { update: make, leave },
  element("p", { className: "hint" }, "It begins as noise and is changed step by step, so that the channel fires more on average."),
  work, said, image);
