// The parts of the channel view that one opens; each works only while it is open.

import { show, state, watch } from "./state.js";
import { element } from "./paint.js";

/** The names of the parts that are open; the one that was opened last comes last. */
export const opened = () => new Set((state.open ?? "").split(".").filter(Boolean));

/** Open or close a part; the address remembers it. */
export function open(name, wanted = true) {
  const names = opened();
  if (names.has(name) === wanted) return;
  names[wanted ? "add" : "delete"](name);
  show({ open: [...names].join(".") }, { replace: true });
}

/**
 * A part with a title. `update()` is called when it is opened, and while it is open when one of
 * `keys` changes; `leave()` when what it shows is not wanted any more.
 */
export function fold(name, title, keys, { update, leave = () => {} }, ...content) {
  const part = element("details", { className: "fold" }, element("summary", {}, title), ...content);
  part.dataset.part = name;
  let active = false;
  const settle = (changed) => {
    const wanted = opened().has(name);
    part.open = wanted;
    const now = wanted && state.view === "channel";
    const isNew = !active || !changed || ["layer", "channel", ...keys].some((key) => changed.has(key));
    if (active && (!now || isNew)) leave();
    if (now && isNew) update();
    active = now;
  };
  part.addEventListener("toggle", () => open(name, part.open));
  const start = () => { watch(settle); settle(); };
  return { part, start };
}
