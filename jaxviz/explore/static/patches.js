// The patches that excite a channel most, among the pictures that were named.

import { view } from "./wire.js";
import { show } from "./state.js";
import { element, number, photograph, pictured } from "./paint.js";
import { attempt } from "./notes.js";
import { asked } from "./chosen.js";

export const patches = element("div", { className: "rows", "aria-live": "polite" });

/** One patch of many, `pixels` (number, height, width, 3), with its value and its picture. */
export function patchFigure({ shape: [, height, width], data }, i, unit) {
  const canvas = pictured(photograph({ shape: [height, width], data }, i), `A patch of ${unit.name}`);
  const open = element("button", { type: "button", onclick: () => show({ picture: unit.picture }) }, unit.name);
  return element("figure", {}, canvas, element("figcaption", {}, `${number(unit.value)} `, open));
}

/** Load them; resolves to the channel's title, or to null if they are not wanted any more. */
export async function loadPatches() {
  patches.replaceChildren(element("p", { className: "hint" }, "looking through the pictures…"));
  const { layer, channel } = asked();
  const answer = await attempt(() => view("patches", { layer, channel }));
  if (!answer || layer !== asked().layer || channel !== asked().channel) return null;
  patches.replaceChildren(...answer.header.units.map((unit, i) => patchFigure(answer.arrays.pixels, i, unit)));
  if (answer.header.listed) patches.append(element("p", { className: "hint" }, "of the folder of patches"));
  patches.dataset.channel = channel;
  return answer.header.title;
}
