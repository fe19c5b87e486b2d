// Neighbors: the pictures nearest by this layer's features, beside those nearest by raw pixels.

import { pictureAddress, view } from "./wire.js";
import { show, state, watch } from "./state.js";
import { element, number } from "./paint.js";
import { attempt, say } from "./notes.js";

const panel = document.getElementById("panel");
const byFeatures = element("div", { className: "rows" });
const byPixels = element("div", { className: "rows" });
const heading = element("h3", {});
const body = element("div", {}, element("h2", {}, "The nearest pictures"),
  element("p", { className: "hint" }, "The smaller the distance, the nearer. Click a picture to go on from it."),
  heading, byFeatures, element("h3", {}, "by raw pixels"), byPixels);

const tiles = (found) => found.map(({ picture, name, distance }) => element("figure", {},
  element("button", { type: "button", className: "tile", title: `go on from ${name}`, onclick: () => show({ picture }) },
    element("img", { src: pictureAddress(picture), alt: name })),
  element("figcaption", {}, `${name}, ${number(distance)}`)));

async function load() {
  const { picture, layer } = state;
  say("comparing the pictures");
  heading.textContent = "by features";
  for (const rows of [byFeatures, byPixels]) rows.replaceChildren(element("p", { className: "hint" }, "…"));
  const answer = await attempt(() => view("neighbors", { picture, layer }));
  if (!answer || picture !== state.picture || layer !== state.layer) return;
  say("");
  byFeatures.replaceChildren(...tiles(answer.header.features));
  const { raw, pictures } = answer.header;
  heading.textContent = `by the features of ${answer.header.layer}, among ${pictures} pictures`;
  byPixels.replaceChildren(...(raw ? tiles(raw)
    : [element("p", { className: "hint" }, "They are too many to be compared pixel by pixel.")]));
  byFeatures.dataset.layer = layer;
  byFeatures.dataset.picture = picture;
}

export function startNeighbors() {
  const settle = (changed) => {
    if (state.view !== "neighbors") return;
    if (!changed || changed.has("view")) panel.replaceChildren(body);
    if (!changed || ["view", "picture", "layer"].some((key) => changed.has(key))) load();
  };
  watch(settle);
  settle();
}
