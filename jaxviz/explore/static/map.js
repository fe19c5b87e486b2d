// The map: all pictures in the plane, those with alike features close together, to walk in.

import { pictureAddress, view } from "./wire.js";
import { show, state, watch } from "./state.js";
import { element } from "./paint.js";
import { attempt, say } from "./notes.js";

const [WIDTH, HEIGHT, MARGIN] = [960, 640, 30];
const MOST_DRAWN = 200; // as pictures; the others are dots
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const panel = document.getElementById("panel");
const heading = element("h2", {});
const method = element("select", { onchange: () => show({ layout: method.value }, { replace: true }) },
  element("option", { value: "" }, "principal components"), element("option", { value: "tsne" }, "t-SNE"));
const canvas = element("canvas", { className: "large map", width: WIDTH, height: HEIGHT, tabIndex: 0,
  role: "application", "aria-label": "The pictures in the plane. Arrow keys walk from one to the next, Enter opens it." });
const found = element("p", { className: "hint", "aria-live": "polite" });
const body = element("div", {}, heading,
  element("div", { className: "controls" }, element("label", {}, "laid out by", method)), canvas, found);
let map = null; // the answer that is drawn
let images = new Map();
let chosen = 0;

/** Where a picture is drawn: the first number to the right, the second upwards. */
const place = (i) => {
  const [x, y] = map.arrays.places.data.subarray(2 * i, 2 * i + 2);
  return [MARGIN + x * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - y * (HEIGHT - 2 * MARGIN)];
};

function paint() {
  if (!map || state.view !== "map") return;
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  context.clearRect(0, 0, WIDTH, HEIGHT);
  const { ids } = map.header;
  const side = ids.length > 60 ? 30 : 44;
  const here = ids.indexOf(state.picture);
  const order = [...ids.keys()].filter((i) => i !== here && i !== chosen);
  for (const i of [...order, chosen, here].filter((i) => i >= 0)) {
    const [x, y] = place(i);
    const image = images.get(ids[i]);
    if (image?.complete && image.naturalWidth) {
      context.drawImage(image, x - side / 2, y - side / 2, side, side);
    } else {
      context.fillStyle = style.getPropertyValue("--soft");
      context.fillRect(x - 3, y - 3, 6, 6);
    }
    const focused = i === chosen && document.activeElement === canvas;
    if (i !== here && !focused) continue;
    context.lineWidth = 4;
    context.strokeStyle = focused ? "#4da3ff" : style.getPropertyValue("--mark");
    context.strokeRect(x - side / 2, y - side / 2, side, side);
  }
}

function choose(i) {
  chosen = i;
  found.textContent = map.header.names[i];
  paint();
}

/** The picture nearest to a place. */
function nearest(x, y) {
  let best = 0;
  let least = Infinity;
  for (let i = 0; i < map.header.ids.length; i++) {
    const [px, py] = place(i);
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}

/** The next picture from the chosen one in a direction, if there is one. */
function beyond([dx, dy]) {
  const [x, y] = place(chosen);
  let best = chosen;
  let least = Infinity;
  for (let i = 0; i < map.header.ids.length; i++) {
    const [px, py] = place(i);
    const ahead = (px - x) * dx + (py - y) * dy;
    const aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
    if (ahead > aside && ahead + 2 * aside < least) [best, least] = [i, ahead + 2 * aside];
  }
  return best;
}

function at(event) {
  const box = canvas.getBoundingClientRect();
  return nearest(((event.clientX - box.left) / box.width) * WIDTH, ((event.clientY - box.top) / box.height) * HEIGHT);
}

async function load() {
  const { layer } = state;
  say("laying out the pictures");
  const answer = await attempt(() => view("layout", { layer, method: state.layout ?? "pca" }));
  if (!answer || layer !== state.layer) return;
  say("");
  map = answer;
  const { ids, names } = map.header;
  heading.textContent = `${ids.length} pictures by the features of ${map.header.layer}: alike ones lie close together`;
  const { moved } = map.header;
  const farther = moved === 1 ? "One lies" : `${moved} lie`;
  found.textContent = `Click a picture to go on from it.${moved ? ` ${farther} farther out than drawn, at the border.` : ""}`;
  const step = Math.max(1, Math.ceil(ids.length / MOST_DRAWN));
  images = new Map(ids.filter((id, i) => i % step === 0).map((id) => {
    const image = new Image();
    image.onload = paint;
    image.src = pictureAddress(id);
    return [id, image];
  }));
  chosen = Math.max(0, ids.indexOf(state.picture));
  canvas.dataset.layer = map.header.layer;
  canvas.dataset.names = names.length;
  paint();
}

export function startMap(network) {
  if (!network.tsne) {
    method.options[1].disabled = true;
    method.options[1].textContent = "t-SNE (needs scikit-learn)";
  }
  canvas.addEventListener("pointermove", (event) => map && choose(at(event)));
  canvas.addEventListener("click", (event) => map && show({ picture: map.header.ids[at(event)] }));
  canvas.addEventListener("keydown", (event) => {
    if (!map) return;
    if (STEPS[event.key]) {
      choose(beyond(STEPS[event.key]));
      event.preventDefault();
    } else if (event.key === "Enter") show({ picture: map.header.ids[chosen] });
  });
  for (const event of ["focus", "blur"]) canvas.addEventListener(event, paint);
  const settle = (changed) => {
    if (state.view !== "map") return;
    method.value = state.layout ?? "";
    if (!changed || changed.has("view")) panel.replaceChildren(body);
    if (!changed || ["view", "layer", "layout"].some((key) => changed.has(key))) load();
    else paint();
  };
  watch(settle);
  settle();
}
