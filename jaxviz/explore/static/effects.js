// The classes that a channel speaks for, and against, in the picture.

import { view } from "./wire.js";
import { show, state } from "./state.js";
import { element, number } from "./paint.js";
import { asked } from "./chosen.js";
import { fold } from "./folds.js";

const raised = element("ol", { className: "bars", "aria-label": "Raised most" });
const lowered = element("ol", { className: "bars", "aria-label": "Lowered most" });
const said = element("p", { className: "hint", "aria-live": "polite" });

const rows = (found, most) => found.map(({ index, name, value }) => {
  const row = element("li", {},
    element("button", { type: "button", title: "what mattered for it?", onclick: () => show({ view: "hidden", target: String(index) }) }, name),
    element("span", {}, `${value > 0 ? "+" : ""}${number(value)}`));
  row.style.setProperty("--p", `${(100 * Math.abs(value)) / (most || 1)}%`);
  row.dataset.index = index;
  return row;
});

async function load() {
  said.textContent = "asking all classes…";
  try {
    const answer = await view("effects", { ...asked(), picture: state.picture });
    if (!answer) return;
    const { header: { raised: up, lowered: down }, arrays: { effects: { data } } } = answer;
    const most = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    raised.replaceChildren(...rows(up.filter(({ value }) => value > 0), most));
    lowered.replaceChildren(...rows(down.filter(({ value }) => value < 0), most));
    raised.dataset.channel = asked().channel;
    said.textContent = "How much the score of each class, before the softmax, rises in this picture where all units of this channel rise by 1 (the gradient). Where the channel's mean goes straight into the last linear layer, these are that layer's weights.";
  } catch (error) {
    for (const list of [raised, lowered]) list.replaceChildren();
    said.textContent = error.message;
  }
}

export const effects = fold("effects", "Which classes it speaks for", ["picture"], { update: load },
  element("div", { className: "columns" },
    element("div", {}, element("h4", {}, "raises most"), raised),
    element("div", {}, element("h4", {}, "lowers most"), lowered)),
  said);
