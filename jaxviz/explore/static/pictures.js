// Pictures: the shelf, those that are opened, dropped or pasted, the camera; and their classes.

import { ask, bring, pictureAddress, view } from "./wire.js";
import { show, state, watch } from "./state.js";
import { element, photograph, canvasOf } from "./paint.js";
import { showInstead } from "./stage.js";
import { attempt, say } from "./notes.js";
import { drawWall } from "./wall.js";

const shelf = document.getElementById("shelf");
const list = document.getElementById("classes");
const video = document.getElementById("video");
const cameraButton = document.getElementById("camera");

function addToShelf({ id, name }, first = false) {
  if (shelf.querySelector(`[data-id="${CSS.escape(id)}"]`)) return;
  const button = element("button", {
    type: "button", title: name, onclick: () => show({ picture: id, camera: null }),
  }, element("img", { src: pictureAddress(id), alt: name, loading: "lazy" }));
  button.dataset.id = id;
  shelf[first ? "prepend" : "append"](element("li", {}, button));
}

async function open(file) {
  if (!file) return;
  const name = file.name ?? "the picture";
  say(`opening ${name}`);
  const found = await attempt(() => bring(file), name);
  if (!found) return;
  say("");
  addToShelf(found, true);
  show({ picture: found.id, camera: null });
}

function drawClasses(classes) {
  list.replaceChildren(...classes.map(({ index, name, probability }) => {
    const row = element("li", {},
      element("button", { type: "button", title: "what mattered for it?", onclick: () => show({ view: "hidden", target: String(index) }) }, name),
      element("span", {}, probability.toFixed(3)));
    row.style.setProperty("--p", `${100 * probability}%`);
    row.dataset.index = index;
    return row;
  }));
  list.classList.remove("stale");
  list.dataset.picture = state.picture ?? "";
  dispatchEvent(new CustomEvent("classes"));
}

async function showClasses() {
  const answer = await attempt(() => view("classes", { picture: state.picture }));
  if (answer) drawClasses(answer.header.classes);
}

let stream = null;
let starting = false; // or started
let paused = false;

function stopCamera() {
  if (!stream) return;
  for (const track of stream.getTracks()) track.stop();
  stream = null;
  paused = false;
  cameraButton.setAttribute("aria-pressed", "false");
  showInstead(null);
  showClasses();
  drawWall(null);
}

async function startCamera() {
  stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
  cameraButton.setAttribute("aria-pressed", "true");
  video.srcObject = stream;
  await video.play();
  const small = document.createElement("canvas");
  const mine = stream;
  let [count, since] = [0, performance.now()];
  const look = async () => {
    [small.width, small.height] = [video.videoWidth / 2, video.videoHeight / 2];
    small.getContext("2d").drawImage(video, 0, 0, small.width, small.height);
    const data = await new Promise((done) => small.toBlob(done, "image/jpeg", 0.85));
    return ask("frame", { layer: state.layer }, { body: data, slot: "frame" });
  };
  let next = look();
  while (stream === mine) {
    const answer = await next;
    while (paused && stream === mine) await new Promise((done) => setTimeout(done, 50));
    if (stream !== mine) return;
    next = look(); // while this answer is drawn
    next.catch(() => {}); // what goes wrong is said when it is awaited
    if (!answer) continue;
    showInstead(canvasOf(photograph(answer.arrays.pixels)));
    drawClasses(answer.header.classes);
    drawWall(answer);
    count += 1;
    if (performance.now() - since > 1000) {
      video.dataset.rate = (1000 * count) / (performance.now() - since);
      say(`camera: ${Number(video.dataset.rate).toFixed(0)} pictures a second`);
      [count, since] = [0, performance.now()];
    }
  }
}

export function startPictures(network) {
  for (const one of network.pictures) addToShelf(one);
  const known = new Set(network.pictures.map((one) => one.id));
  if (state.picture && !known.has(state.picture)) addToShelf({ id: state.picture, name: "opened" }, true);
  const file = document.getElementById("file");
  document.getElementById("upload").onclick = () => file.click();
  file.onchange = () => { open(file.files[0]); file.value = ""; };
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => { event.preventDefault(); open(event.dataTransfer.files[0]); });
  addEventListener("paste", (event) => {
    const found = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (found) open(found);
  });
  addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, textarea")) return;
    if (event.key === " " && stream && !event.target.matches("button, [tabindex]")) {
      paused = !paused;
      say(paused ? "the camera is paused; the space bar goes on" : "");
      return event.preventDefault();
    }
    const step = { n: 1, p: -1 }[event.key];
    if (!step || event.ctrlKey || event.metaKey) return;
    const ids = [...shelf.querySelectorAll("button")].map((one) => one.dataset.id);
    const next = ids[(ids.indexOf(state.picture) + step + ids.length) % ids.length];
    if (next) show({ picture: next });
  });
  cameraButton.onclick = () => show({ camera: stream ? null : "on" });
  const setCamera = () => {
    if (state.camera === "on" && !starting) {
      starting = true;
      attempt(startCamera).then(() => { starting = false; stream || show({ camera: null }, { replace: true }); });
    } else if (state.camera !== "on" && stream) { stopCamera(); say(""); }
  };
  const mark = () => {
    for (const button of shelf.querySelectorAll("button")) {
      button.setAttribute("aria-current", button.dataset.id === state.picture);
    }
    if (!state.picture || stream) return;
    list.classList.toggle("stale", list.dataset.picture !== state.picture);
    showClasses();
  };
  watch((changed) => {
    if (changed.has("picture")) mark();
    if (changed.has("camera")) setCamera();
  });
  mark();
  setCamera();
}
