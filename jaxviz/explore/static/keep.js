// What can be taken along from every view: its picture, and the Python lines that give its numbers.

import { state, watch } from "./state.js";
import { element } from "./paint.js";

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

/** Where the arrays and the figure of the view are; null where it has none. */
function addresses() {
  const { picture, layer, view, channel, target, window, stride, fill, score, method } = state;
  const [name, query] = {
    wall: ["maps", { picture, layer, exact: 1 }],
    channel: ["maps", { picture, layer, exact: 1 }],
    hidden: ["hidden", { picture, target: target ?? "", window, stride, fill, score }],
    map: ["layout", { layer, ...(method ? { method } : {}) }],
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

/** The lines of a view. */
function lines() {
  const { layer, view } = state;
  const channel = Number(state.channel) || 0;
  const load = ["import jaxviz", "", `network = jaxviz.load(${text(network.name)})`,
    ...(network.head ? ['network = jaxviz.with_head(network, jaxviz.load_head("head.safetensors"))'] : [])];
  const picture = [...load, `images = network.preprocess(["picture.jpg"])`, "run = network.apply, network.params"];
  const target = state.target ?? "";
  const mapped = target.includes(":");
  const best = document.querySelector("#classes li")?.dataset.index ?? "None";
  const asked = mapped ? text(target) : target || best;
  const window = state.window ?? 32;
  const stride = state.stride ?? 8;
  return {
    wall: [...picture, `maps = jaxviz.activation_maps(*run, images, layers=${text(layer)})[${text(layer)}]`],
    channel: [...picture,
      `maps = jaxviz.activation_maps(*run, images, layers=${text(layer)})[${text(layer)}]`,
      `one = maps[0, ..., ${channel}]`,
      `best = jaxviz.top_patches(*run, [images], layers=${text(layer)}, k=1)[${text(layer)}]`,
      `guided = jaxviz.guided_backpropagation(*run, images, score=jaxviz.map_energy(${text(layer)}, ${channel}))`],
    hidden: [...(mapped ? load : load.map((line) => line.replace(text(network.name), text(network.classifierName)))),
      `found = jaxviz.analyses.occlusion(`,
      `    network, ["picture.jpg"], targets=${asked}, window=${window}, stride=${stride},`,
      `    fill=${state.fill ? text(state.fill) : "None"}, score=${text(state.score ?? "log-probability")},`,
      `)`, `heatmap = found.heatmap[0]`],
    neighbors: [...load, `images = network.preprocess(["picture.jpg", "other.jpg", "third.jpg"])`,
      `vectors = jaxviz.features(network.apply, network.params, images, layer=${text(layer)})`,
      `nearest = jaxviz.nearest_neighbors(vectors[:1], vectors, k=3, metric="cosine")`],
    map: [...load, `images = network.preprocess(["picture.jpg", "other.jpg", "third.jpg"])`,
      `vectors = jaxviz.features(network.apply, network.params, images, layer=${text(layer)})`,
      state.method === "tsne" ? "points = jaxviz.t_sne(vectors)" : "points, shares = jaxviz.principal_components(vectors, k=2)"],
    filters: [...load, `kernel = network.kernel(${text(layer)})`,
      layer === network.first ? "tiles = jaxviz.filter_tiles(kernel)" : "slices = jaxviz.filter_slices(kernel)"],
  }[view];
}

function write() {
  code.firstChild.textContent = (lines() ?? []).join("\n");
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
