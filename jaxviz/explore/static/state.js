// What the page shows is in its address, so that links, reload and back work.

const listeners = new Set();
const usual = {}; // what is shown where the address does not say
export const state = read();

function read() {
  return { ...usual, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
}

/** What is shown where the address does not say. */
export function presume(values) {
  Object.assign(usual, values);
  settle();
}

/** Change what is shown; `replace` leaves no entry in the history. */
export function show(changes, { replace = false } = {}) {
  const next = { ...state, ...changes };
  for (const [key, value] of Object.entries(next)) {
    if (value === null || value === "" || value === usual[key]) delete next[key];
  }
  const hash = `#${new URLSearchParams(next)}`;
  if (hash !== location.hash) history[replace ? "replaceState" : "pushState"](null, "", hash);
  settle();
}

function settle() {
  const next = read();
  const changed = new Set(
    [...Object.keys(state), ...Object.keys(next)].filter((key) => state[key] !== next[key]));
  for (const key of Object.keys(state)) delete state[key];
  Object.assign(state, next);
  if (changed.size) for (const listener of listeners) listener(changed);
}

/** Call `listener(changed)` with the set of keys that changed. */
export function watch(listener) { listeners.add(listener); }

addEventListener("popstate", settle);
addEventListener("hashchange", settle);
