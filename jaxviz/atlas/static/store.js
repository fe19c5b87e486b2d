// The data, which come as scripts, and the address, which says what is shown.
"use strict";

const loaded = new Map(); // what came, by key
const waiting = new Map(); // the promise of each script that was asked for

/** Called by each script of data. */
function take(key, content) { loaded.set(key, content); }

/** The data of a key, such as "alexnet/06-conv5"; the script is loaded once. */
function load(key) {
  if (loaded.has(key)) return Promise.resolve(loaded.get(key));
  if (!waiting.has(key)) {
    waiting.set(key, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `data/${key}.js`;
      script.onload = () => (loaded.has(key) ? resolve(loaded.get(key)) : script.onerror());
      script.onerror = () => {
        waiting.delete(key);
        reject(new Error(`data/${key}.js is missing: copy the whole folder of the atlas`));
      };
      document.head.append(script);
    }));
  }
  return waiting.get(key);
}

/** What the address asks for, as {network, layer, channel, ...}. */
const asked = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

/** The address of what is given; what is null or empty is left out. */
function address(values) {
  const kept = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return `#${new URLSearchParams(kept.map(([key, value]) => [key, String(value)]))}`;
}

/** The number of channels of a layer. */
const channelsOf = (layer) => layer.shape.at(-1) ?? 1;

/** A layer's data, with the network and the layer that they are of. */
async function layerData(network, layer) {
  const [data, pictures] = await Promise.all([
    load(`${network.key}/${layer.file}`), load(`${network.key}/pictures`)]);
  return { network, layer, data, pictures, folder: `data/${network.key}/${layer.file}` };
}

/** How many of a channel's patches are from pictures of each label: Map of label to count. */
function labelCounts({ data, pictures }, channel) {
  const counts = new Map();
  for (const picture of data.pictures[channel]) {
    if (picture < 0) continue;
    const label = pictures.labels[picture];
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  return counts;
}

/** How many patches a channel has; fewer than others where there were fewer pictures. */
const patchCount = ({ data }, channel) => data.pictures[channel].filter((one) => one >= 0).length;
