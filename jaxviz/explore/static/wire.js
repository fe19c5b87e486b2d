// Asks the server, and turns its answers into typed arrays.

const KINDS = { uint8: Uint8Array, int32: Int32Array, float32: Float32Array };
const page = Math.random().toString(36).slice(2);
const asking = new Map();

/** An answer's header and arrays: {header, arrays: {name: {shape, data}}}. */
export function unpack(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const text = new TextDecoder().decode(bytes.subarray(4, 4 + length));
  const { arrays, ...header } = JSON.parse(text);
  const found = {};
  for (const [name, { dtype, shape, start }] of Object.entries(arrays)) {
    const count = shape.reduce((a, b) => a * b, 1);
    const from = 4 + length + start;
    const Kind = KINDS[dtype];
    const copy = bytes.slice(from, from + count * Kind.BYTES_PER_ELEMENT);
    found[name] = { shape, data: new Kind(copy.buffer, copy.byteOffset, count) };
  }
  return { header, arrays: found };
}

/** Calls `each` with every part of an answer as it comes. */
async function parts(response, each) {
  const reader = response.body.getReader();
  let held = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(held.length + value.length);
    joined.set(held);
    joined.set(value, held.length);
    held = joined;
    while (held.length >= 4) {
      const length = new DataView(held.buffer, held.byteOffset).getUint32(0, true);
      if (held.length < 4 + length) break;
      const answer = unpack(held.subarray(4, 4 + length));
      held = held.slice(4 + length);
      if (answer.header.error) throw new Error(answer.header.error);
      each(answer);
    }
  }
}

/**
 * Ask for a view; `each` gets every part of the answer. A newer request of the same slot ends this
 * one. Resolves to the last part, or to null if it was ended.
 */
export async function ask(address, parameters, { slot = address, each = () => {}, body } = {}) {
  asking.get(slot)?.abort();
  const control = new AbortController();
  asking.set(slot, control);
  const query = new URLSearchParams({ ...parameters, page, slot });
  let last = null;
  try {
    const response = await fetch(`${address}?${query}`, {
      signal: control.signal, method: body ? "POST" : "GET", body,
    });
    if (response.status === 409) return null;
    if (!response.ok) throw new Error((await response.json()).error);
    await parts(response, (answer) => { last = answer; each(answer); });
    return last;
  } catch (error) {
    if (error.name === "AbortError") return null;
    if (error instanceof TypeError) throw new Error("the explorer does not answer; is it running?");
    throw error;
  } finally {
    if (asking.get(slot) === control) asking.delete(slot);
  }
}

export const view = (name, parameters, options) =>
  ask(`views/${name}`, parameters, { slot: name, ...options });

/** End what a slot still waits for. */
export const drop = (slot) => asking.get(slot)?.abort();

/** Bring a picture; resolves to {id, name}. */
export async function bring(file) {
  const response = await fetch(`pictures?${new URLSearchParams({ name: file.name ?? "pasted" })}`, {
    method: "POST", body: file,
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

export const pictureAddress = (id) => `pictures/${encodeURIComponent(id)}.png`;
