// A channel is not what its maximum is: its maxima in all pictures, by the tenths of their range.

import { view } from "./wire.js";
import { element, number } from "./paint.js";
import { asked } from "./chosen.js";
import { fold } from "./folds.js";
import { patchFigure } from "./patches.js";

const said = element("p", { className: "hint", "aria-live": "polite" });
const list = element("ol", { className: "tenths", "aria-label": "The tenths of the range, highest first" });

async function load() {
  said.textContent = "looking through the pictures…";
  try {
    const answer = await view("spread", asked());
    if (!answer) return;
    const { header: { edges, units, pictures }, arrays: { counts, pixels } } = answer;
    const most = Math.max(...counts.data);
    const tenths = [...counts.data].map((count, tenth) => {
      const bar = element("span", { className: "bar" }, `${count} ${count === 1 ? "picture" : "pictures"}`);
      bar.style.setProperty("--p", `${(100 * count) / most}%`);
      const figures = units.map((unit, i) => (unit.tenth === tenth ? patchFigure(pixels, i, unit) : null)).filter(Boolean);
      const item = element("li", {},
        element("span", { className: "range" }, `${number(edges[tenth])} to ${number(edges[tenth + 1])}`),
        bar, element("div", { className: "rows" }, ...figures));
      item.dataset.count = count;
      return item;
    });
    list.replaceChildren(...tenths.reverse());
    list.dataset.channel = asked().channel;
    said.textContent = `Its largest activation in each of ${pictures} pictures, in tenths of their range, and patches from the middle of each tenth. If only the first rows show one kind of thing, its maximum does not say what it is for.`;
  } catch (error) {
    list.replaceChildren();
    said.textContent = error.message;
  }
}

export const spread = fold("spread", "What excites it less", [], { update: load }, said, list);
