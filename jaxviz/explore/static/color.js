// Whether a channel minds color: its map of the picture beside that of the same picture in gray.

import { view } from "./wire.js";
import { state } from "./state.js";
import { SEQUENTIAL, colored, element, number, photograph, pictured } from "./paint.js";
import { asked } from "./chosen.js";
import { fold } from "./folds.js";

const said = element("p", { "aria-live": "polite" });
const pair = element("div", { className: "rows" });

/** A map in the colors of the wall, `most` being the lightest. */
function drawn({ shape: [height, width], data }, least, most) {
  const scale = most > least ? 255 / (most - least) : 0;
  return colored(Uint8Array.from(data, (value) => Math.round((value - least) * scale)), width, height, SEQUENTIAL);
}

const percent = (ratio) => `${(100 * ratio).toFixed(0)} %`;

/** The sentence. */
export function sentence({ ratio, map_ratio: maps, weaker, pictures, of }) {
  if (!pictures) return `It fires in none of the ${of} pictures.`;
  if (ratio === null) return `Channel ${asked().channel} fires in ${pictures} of ${of} pictures in gray, and in none in color.`;
  const how = ratio > 0.8 && ratio < 1.25 ? "hardly minds color" : ratio <= 0.8 ? "needs color" : "prefers gray";
  return `Channel ${asked().channel} ${how}: in gray, its maxima are together ${percent(ratio)} of those in color, and lower in ${weaker} of the ${pictures} pictures in which it fires; the means of its maps are ${percent(maps)}.`;
}

async function load() {
  said.textContent = "looking through the pictures, in color and in gray…";
  try {
    const answer = await view("color", { ...asked(), picture: state.picture });
    if (!answer) return;
    const { color, gray, pixels } = answer.arrays;
    const all = [...color.data, ...gray.data];
    const [least, most] = [Math.min(...all), Math.max(...all)];
    const figure = (image, label, caption, className = "") => element("figure", {}, pictured(image, label, { className }), element("figcaption", {}, caption));
    pair.replaceChildren(
      figure(photograph(pixels), "The picture in gray", "the picture in gray"),
      figure(drawn(gray, least, most), "Its map in gray", `in gray, up to ${number(Math.max(...gray.data))}`, "pixels"),
      figure(drawn(color, least, most), "Its map in color", `in color, up to ${number(Math.max(...color.data))}`, "pixels"));
    said.textContent = sentence(answer.header);
    pair.dataset.channel = asked().channel;
  } catch (error) {
    pair.replaceChildren();
    said.textContent = error.message;
  }
}

export const color = fold("color", "Does it mind color?", ["picture"], { update: load }, said, pair);
