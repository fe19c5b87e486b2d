// The keys, and a list of them.

import { show, state } from "./state.js";
import { element } from "./paint.js";
import { step } from "./chosen.js";
import { choose, freeze, turnOrigin } from "./gradients.js";
import { chooseInWall } from "./wall.js";
import { open } from "./folds.js";

const KEYS = [
  ["?", "this list"],
  ["n  p", "next, previous picture"],
  ["[  ]", "previous, next layer"],
  ["← →  ↑ ↓", "choose a channel in the wall; Enter opens it"],
  ["← →", "previous, next channel, where one is open"],
  ["w", "back to all channels"],
  ["g", "gradients: next method"],
  ["1  2  3  4", "gradients: in color, in gray, norm, blurred norm"],
  ["u", "gradients: from the whole map, or from one unit"],
  ["z", "gradients: freeze the origin, or let go"],
];

const dialog = element("dialog", { className: "keys", "aria-labelledby": "keys-title" },
  element("h2", { id: "keys-title" }, "Keys"),
  element("dl", {}, ...KEYS.map(([keys, what]) => element("div", {},
    element("dt", {}, ...keys.split("  ").flatMap((key) => [element("kbd", {}, key), " "])), element("dd", {}, what)))),
  element("button", { type: "button", onclick: () => dialog.close() }, "Close"));

const ofChannel = {
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  w: () => show({ view: "wall" }),
  g: () => choose({ next: true }),
  u: turnOrigin,
  z: () => { open("gradients"); freeze(); },
  ...Object.fromEntries([0, 1, 2, 3].map((form) => [String(form + 1), () => choose({ form })])),
};

export function startKeys() {
  const button = element("button", { type: "button", onclick: () => dialog.showModal() }, "Keys (?)");
  document.querySelector("header").append(button);
  document.body.append(dialog);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (event.target.matches("input, select, textarea")) return;
    if (event.key === "?") return dialog.showModal();
    if (event.target.matches("[role=tab]") && event.key.startsWith("Arrow")) return; // the next tab
    if (state.view === "channel") ofChannel[event.key]?.();
    if (state.view === "wall" && event.target === document.body) chooseInWall(event);
  });
}
