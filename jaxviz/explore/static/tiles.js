// What the wall can draw in place of a channel's map: its best patch, or the image made for it.

import { view } from "./wire.js";
import { state } from "./state.js";
import { canvasOf, number, photograph } from "./paint.js";
import { attempt, say } from "./notes.js";

const KINDS = {
  patches: {
    view: "tiles",
    busy: "looking through the pictures for the best patches",
    hint: "Each channel's strongest patch among the pictures, the channel that is strongest here first; click one to open its channel.",
    said: (channel, { values }) => `channel ${channel}, up to ${number(values.data[channel])} among the pictures; this is the patch`,
  },
  made: {
    view: "images",
    busy: "reading the images that were made",
    hint: "The image that was made for a channel, or its map where none was made yet. To make one, open a channel; for all of a layer, see jaxviz imagine --all-channels, then jaxviz explore --images.",
    said: (channel) => `channel ${channel}; this image was made for it`,
  },
};
let found = null; // {show, answer, places}: what is here

const isHere = () => found?.show === state.show && found?.answer.header.layer === state.layer;

/** What the wall says of itself while it shows these. */
export const tilesHint = () => KINDS[state.show]?.hint;

/** Those of a layer, if they are wanted and here: {of(channel): {canvas, said} or null}; else null. */
export function tilesOf(layer) {
  if (!isHere() || layer !== state.layer) return null;
  const { answer: { arrays }, places, show } = found;
  const { shape: [, height, width], data } = arrays.pixels;
  return (channel) => {
    const place = places ? places.get(channel) : channel;
    if (place === undefined) return null;
    return {
      canvas: () => canvasOf(photograph({ shape: [height, width], data }, place)),
      said: KINDS[show].said(channel, arrays),
    };
  };
}

/** Load those of the layer, if they are wanted; those that were made may have become more. */
export async function loadTiles(done) {
  const { layer, show } = state;
  const kind = KINDS[show];
  if (!kind || !layer || (isHere() && show !== "made")) return;
  say(kind.busy);
  const answer = await attempt(() => view(kind.view, { layer }));
  if (!answer) return;
  const { channels } = answer.arrays;
  found = { show, answer, places: channels && new Map([...channels.data].map((channel, place) => [channel, place])) };
  say("");
  done();
}
