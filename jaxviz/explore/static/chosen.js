// The channel that is chosen, and the unit in it if there is one.

import { show, state } from "./state.js";
import { layerOf } from "./wall.js";

/** How many channels the layer has. */
export const count = () => layerOf(state.layer).shape.at(-1);

/** The channel of the address, or the nearest that there is. */
export const channel = () => Math.min(Math.max(Number(state.channel) || 0, 0), count() - 1);

/** Go so many channels on; the first follows the last. */
export const step = (by) => show({ channel: String((channel() + by + count()) % count()), row: null, col: null });

/** What views of a channel ask for. */
export const asked = () => ({ layer: state.layer, channel: channel() });
