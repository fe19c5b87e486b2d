// What the page shows is in its address, so that links, reload and back work.

const NUMBERS = ["channel", "row", "col"]; // whole ones, or they are as if not given
const listeners = new Set();
const usual = {}; // what is shown where the address does not say
export const state = read();

function read() {
  const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  for (const key of NUMBERS) {
    if (key in given && !/^-?\d+$/.test(given[key])) delete given[key];
  }
  return { ...usual, ...given };
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
