// Starts the page: loads the network, then lets each view follow the address.

import { view } from "./wire.js";
import { presume, show, state, watch } from "./state.js";
import { element } from "./paint.js";
import { attempt, say } from "./notes.js";
import { startPictures } from "./pictures.js";
import { startStage } from "./stage.js";
import { startWall } from "./wall.js";
import { startChannel } from "./channel.js";
import { startHidden } from "./hidden.js";
import { startFilters } from "./filters.js";
import { startNeighbors } from "./neighbors.js";
import { startMap } from "./map.js";
import { startKeep } from "./keep.js";
import { startKeys } from "./keys.js";

const TABS = { wall: "Maps", channel: "Channel", hidden: "What matters", neighbors: "Neighbors", map: "Picture map", filters: "Filters" };

async function start() {
  const answer = await attempt(() => view("network", {}));
  if (!answer) return;
  const network = answer.header;
  document.title = `${network.title}: jaxviz explorer`;
  document.getElementById("title").textContent = network.title;
  if (network.classifier && network.classifier !== network.title) {
    document.getElementById("classes-title").textContent = `What ${network.classifier} sees`;
    document.getElementById("classes-hint").textContent =
      `${network.title} has no classes here; ${network.classifier} names the picture.`;
  }
  if (network.skipped.length) {
    say(`cannot be read: ${network.skipped.join(", ")}`, true);
  }
  presume({ picture: network.pictures[0]?.id, layer: network.deep, view: "wall" });
  const known = network.layers.map((layer) => layer.name);
  show({
    layer: known.includes(state.layer) ? state.layer : null,
    view: Object.hasOwn(TABS, state.view) ? state.view : null,
  }, { replace: true });
  startLayers(network);
  startTabs();
  startStage(network);
  startPictures(network);
  startWall(network);
  startChannel(network);
  startHidden(network);
  startFilters();
  startNeighbors();
  startMap(network);
  startKeep(network);
  startKeys();
}

function startLayers(network) {
  const list = document.querySelector("#layers ol");
  for (const layer of network.layers) {
    const { size, stride } = layer.field;
    const sees = stride[0] === 0 ? "sees everything" : `sees ${size[0]} × ${size[1]}`;
    const button = element("button", { type: "button", onclick: () => pick(layer.name) }, layer.name,
      element("small", {}, `${layer.shape.join(" × ")}, ${sees}`));
    button.dataset.layer = layer.name;
    list.append(element("li", {}, button));
  }
  const pick = (name) => show({
    layer: name, channel: null, row: null, col: null,
    view: state.view === "channel" && !state.frozen ? "wall" : state.view,
  });
  const mark = () => {
    for (const button of list.querySelectorAll("button")) {
      const current = button.dataset.layer === state.layer;
      button.setAttribute("aria-current", current);
      if (current) button.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  };
  addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey) return;
    const names = network.layers.map((layer) => layer.name);
    const step = { "[": -1, "]": 1 }[event.key];
    const next = step && names[names.indexOf(state.layer) + step];
    if (next) pick(next);
  });
  watch((changed) => {
    if (!changed.has("layer")) return;
    if (network.layers.every((layer) => layer.name !== state.layer)) show({ layer: null }, { replace: true });
    mark();
  });
  mark();
}

function startTabs() {
  const tabs = document.getElementById("tabs");
  for (const [name, title] of Object.entries(TABS)) {
    const button = element("button", {
      type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "panel",
      onclick: () => show({ view: name }),
    }, title);
    button.dataset.view = name;
    tabs.append(button);
  }
  tabs.addEventListener("keydown", (event) => {
    const names = Object.keys(TABS);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = names[(names.indexOf(state.view) + step + names.length) % names.length];
    show({ view: next });
    document.getElementById(`tab-${next}`).focus();
  });
  const mark = () => {
    for (const button of tabs.children) {
      const selected = button.dataset.view === state.view;
      button.setAttribute("aria-selected", selected);
      button.tabIndex = selected ? 0 : -1;
    }
    document.getElementById("panel").setAttribute("aria-labelledby", `tab-${state.view}`);
  };
  watch((changed) => changed.has("view") && mark());
  mark();
}

start();
