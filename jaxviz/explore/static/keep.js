// What can be taken along from every view: its picture, and the Python lines that give its numbers.

import { state, watch } from "./state.js";
import { element } from "./paint.js";
import { asked as ofChannel } from "./chosen.js";
import { opened } from "./folds.js";
import { wanted as ofGradients } from "./gradients.js";

const code = element("pre", { tabIndex: 0 }, element("code", {}));
const save = element("button", { type: "button", onclick: savePicture }, "Save as PNG");
const arrays = element("a", { className: "button", download: "" }, "Save its arrays as npz");
const figure = element("a", { className: "button", download: "" }, "Save as SVG figure");
const copy = element("button", { type: "button", onclick: () => navigator.clipboard.writeText(code.textContent) }, "Copy");
let network = null;

/** The large canvas of the view, else its figure. */
function savePicture() {
  const canvas = document.querySelector("#panel canvas.wall, #panel canvas.large");
  if (!canvas) {
    element("a", { href: figure.href.replace(".svg?", ".png?"), download: "" }).click();
    return;
  }
  canvas.toBlob((data) => {
    const link = element("a", { href: URL.createObjectURL(data) });
    link.download = [network.name, state.layer, state.channel, state.view].filter(Boolean).join("-").replaceAll("/", "_") + ".png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

/** The open parts of a channel that there are, the one opened last at the end. */
const parts = () => [...opened()].filter((name) => ["gradients", "spread", "color", "made"].includes(name)
  || (name === "effects" && network.classifierName === network.name));

/** Where the arrays and the figure of the view are; null where it has none. */
function addresses() {
  const { picture, layer, view, channel, target, window, stride, fill, score, layout } = state;
  const part = parts().at(-1);
  const [name, query] = {
    wall: ["maps", { picture, layer, exact: 1 }],
    channel: ({
      gradients: ["gradients", ofGradients()], effects: ["effects", { picture, ...ofChannel() }],
      spread: ["spread", ofChannel()], color: ["color", ofChannel()],
    })[part] ?? ["maps", { picture, layer, exact: 1 }],
    hidden: ["hidden", { picture, target: target ?? "", window, stride, fill, score }],
    map: ["layout", { layer, ...(layout ? { method: layout } : {}) }],
    filters: ["filters", { layer, exact: 1 }],
  }[view] ?? [];
  const drawn = {
    wall: { picture, layer },
    channel: { picture, layer, channel },
    hidden: query,
    neighbors: { picture, layer },
    map: query,
    filters: { layer },
  }[view];
  return [name && at(`arrays/${name}.npz`, query), drawn && at(`figures/${view}.svg`, drawn)];
}

function at(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  return `${path}?${new URLSearchParams(given)}`;
}

const text = (value) => JSON.stringify(value);

/** What the open parts of a channel show. */
function partLines() {
  const { layer, channel, origin, row, col, method } = ofGradients();
  const asked = [text(layer), channel];
  const hasMaps = network.layers.find((one) => one.name === layer)?.shape.length === 3;
  const from = origin === "map" ? `jaxviz.map_energy(${asked.join(", ")})`
    : !hasMaps ? `jaxviz.channel_mean(${asked.join(", ")})`
    : row === undefined ? `jaxviz.unit(${asked.join(", ")}, *numpy.unravel_index(one.argmax(), one.shape))`
    : `jaxviz.unit(${[...asked, row, col].join(", ")})`;
  const own = [text(state.layer), ofChannel().channel];
  const maxima = ['some = jaxviz.analyses.read_pictures(network, ["picture.jpg", "other.jpg"])',
    "pixels = numpy.stack([one.pixels for one in some])"];
  const written = {
    gradients: [`answers = jaxviz.${method.replaceAll("-", "_")}(*run, images, score=${from}).values[0]`],
    effects: [`effects = jaxviz.channel_effects(`, `    *run, images, score=jaxviz.channel_mean(network.spec.logits),`,
      `    layer=${own[0]}, channel=${own[1]},`, `)[0]`],
    spread: [...maxima, `maxima = jaxviz.analyses.channel_maxima(network, pixels, ${own[0]})`],
    color: [...maxima, `gray = jaxviz.analyses.channel_maxima(`, `    network, jaxviz.analyses.in_gray(network, pixels), ${own[0]}`, `)`],
    made: [`made = jaxviz.analyses.feature_images(network, layer=${own[0]}, channels=[${own[1]}], steps=128)`],
  };
  return parts().flatMap((name) => written[name]);
}

/** The lines of a view. */
function lines() {
  const { layer, view } = state;
  const { channel } = ofChannel();
  const load = ["import jaxviz", "", `network = ${network.code}`];
  const picture = [...load, `images = network.preprocess(["picture.jpg"])`, "run = network.apply, network.params"];
  const target = state.target ?? "";
  const mapped = target.includes(":");
  const best = document.querySelector("#classes li")?.dataset.index ?? "None";
  const asked = /^\d+$/.test(target) ? Number(target) : target ? text(target) : best;
  const [window, stride] = [Number(state.window) || 32, Number(state.stride) || 8];
  return {
    wall: [...picture, `maps = jaxviz.activation_maps(*run, images, layers=${text(layer)})[${text(layer)}]`],
    channel: [...picture,
      `maps = jaxviz.activation_maps(*run, images, layers=${text(layer)})[${text(layer)}]`,
      `one = maps[0, ..., ${channel}]`,
      `best = jaxviz.top_patches(*run, [images], layers=${text(layer)}, k=1)[${text(layer)}]`,
      ...partLines()],
    hidden: [...load.slice(0, 2), `network = ${mapped ? network.code : network.classifierCode ?? network.code}`,
      `found = jaxviz.analyses.occlusion(`,
      `    network, ["picture.jpg"], targets=${asked}, window=${window}, stride=${stride},`,
      `    fill=${state.fill ? text(state.fill) : "None"}, score=${text(state.score ?? "log-probability")},`,
      `)`, `heatmap = found.heatmap[0]`],
    neighbors: [...load, `images = network.preprocess(["picture.jpg", "other.jpg", "third.jpg"])`,
      `vectors = jaxviz.features(network.apply, network.params, images, layer=${text(layer)})`,
      `nearest = jaxviz.nearest_neighbors(vectors[:1], vectors, k=3, metric="cosine")`],
    map: [...load, `images = network.preprocess(["picture.jpg", "other.jpg", "third.jpg"])`,
      `vectors = jaxviz.features(network.apply, network.params, images, layer=${text(layer)})`,
      state.layout === "tsne" ? "points = jaxviz.t_sne(vectors)" : "points, shares = jaxviz.principal_components(vectors, k=2)"],
    filters: [...load, `kernel = network.kernel(${text(layer)})`,
      layer === network.first ? "tiles = jaxviz.filter_tiles(kernel)" : "slices = jaxviz.filter_slices(kernel)"],
  }[view];
}

function write() {
  const found = lines() ?? [];
  const imports = found.some((line) => line.includes("numpy.")) ? ["import numpy"] : [];
  code.firstChild.textContent = [...imports, ...found].join("\n");
}

export function startKeep(given) {
  network = given;
  document.getElementById("keep").append(
    save, figure, arrays,
    element("details", {}, element("summary", {}, "As code"), code, copy));
  const settle = () => {
    write();
    const found = addresses();
    for (const [place, link] of [arrays, figure].entries()) {
      link.hidden = !found[place];
      if (found[place]) link.href = found[place];
    }
  };
  watch(settle);
  addEventListener("classes", write);
  settle();
}
