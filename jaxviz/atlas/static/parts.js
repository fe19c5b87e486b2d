// Small parts of pages: elements, numbers, and pictures out of sheets.
"use strict";

const EDGE = 1; // pixels around each picture of a sheet that repeat its edge

/** An element with properties and children; null among the children is left out. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A number with three significant digits. */
const number = (value) => (value === null ? "none" : String(Number(value.toPrecision(3))));
const signed = (value) => (value < 0 ? `−${(-value).toFixed(2)}` : `+${value.toFixed(2)}`);
const many = (count, one, several = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : several}`;

const hint = (text) => element("p", { className: "hint" }, text);
const heading = (level, text) => element(`h${level}`, {}, text);

/** A list of facts: [what, value] pairs. */
const facts = (pairs) => element("dl", { className: "facts" },
  ...pairs.map(([what, value]) => element("div", {}, element("dt", {}, what), element("dd", {}, value))));

/**
 * One picture of a sheet. `sheets` says how they are laid out; `folder` and `name` give the file.
 * The sheet is an image in a box that shows one place of it.
 */
function tile(folder, name, sheets, place, alt, { lazy = false } = {}) {
  const { size, cell, across, number: each, total, ending } = sheets;
  const sheet = Math.floor(place / each);
  const within = place - sheet * each;
  const rows = Math.ceil(Math.min(each, total - sheet * each) / across);
  const image = element("img", { alt, decoding: "async", draggable: false });
  if (lazy) image.loading = "lazy";
  const percent = (part, whole) => `${(100 * part) / whole}%`;
  Object.assign(image.style, {
    width: percent(across * cell[1], size[1]), height: percent(rows * cell[0], size[0]),
    left: percent(-(within % across) * cell[1] - EDGE, size[1]),
    top: percent(-Math.floor(within / across) * cell[0] - EDGE, size[0]),
  });
  image.src = `${folder}/${name}-${sheet}.${ending}`;
  const box = element("span", { className: ending === "png" ? "patch pixels" : "patch" }, image);
  box.style.aspectRatio = `${size[1]} / ${size[0]}`;
  return box;
}

/** A channel's patch of a rank, 0 for the best. */
function patch(of, channel, rank, alt, options) {
  const { best, more } = of.data.sheets;
  if (rank === 0) return tile(of.folder, "best", best, channel, alt, options);
  return tile(of.folder, "more", more, channel * more.across + rank - 1, alt, options);
}

/** A channel's name: its number, or the class it stands for. */
function channelName({ layer, data }, channel) {
  const title = data.titles?.[channel];
  return title ? `${layer.name}, channel ${channel}: ${title}` : `${layer.name}, channel ${channel}`;
}

/** A picture's whole view, if it has one; else nothing. */
function thumbnail(network, pictures, picture, options) {
  const sheets = pictures.sheets.pictures;
  if (picture >= sheets.total) return null;
  const name = pictures.names[picture];
  return tile(`data/${network.key}`, "pictures/pictures", sheets, picture, `The picture ${name}`, options);
}

const sees = (layer) => (layer.whole ? "the whole picture" : `${layer.sees.join(" × ")} pixels`);
