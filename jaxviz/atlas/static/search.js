// Search: from a label, a picture or a class to channels.
"use strict";

const SHOWN = 48; // results at a time

/** The layers that a search looks in: the one asked for, else all that are no repetitions. */
function searched(network) {
  const { layer } = asked();
  const one = network.layers.find((other) => other.name === layer);
  return one ? [one] : network.layers.filter((other) => !other.repeats);
}

/** A choice of layers for a page of results. */
function layerChoice(network, values) {
  const every = network.layers.some((layer) => layer.repeats) ? "all but pooled and joined" : "all";
  const choice = element("select", { onchange: () => {
    location.hash = address({ ...values, layer: choice.value });
  } }, element("option", { value: "" }, every),
    ...network.layers.map((layer) => element("option", { value: layer.name }, layer.name)));
  choice.value = asked().layer ?? "";
  return element("label", {}, "layers", choice);
}

/** Figures of results, more of them on request: each {of, channel, rank, text}. */
function results(found, none) {
  if (!found.length) return [hint(none)];
  const rows = element("div", { className: "rows results" });
  const more = element("button", { type: "button", onclick: () => grow() }, "more");
  let shown = 0;
  const grow = () => {
    rows.append(...found.slice(shown, shown + SHOWN).map(({ of, channel, rank, text }) =>
      element("figure", {}, element("a", { href: channelAddress(of.network, of.layer, channel) },
        patch(of, channel, rank, `A patch that excites ${channelName(of, channel)}`, { lazy: true }),
        element("span", { className: "under" }, channelName(of, channel))), element("figcaption", {}, text))));
    shown = Math.min(shown + SHOWN, found.length);
    more.hidden = shown >= found.length;
  };
  grow();
  return [rows, element("p", {}, more)];
}

/** The channels that answer to a label, the most first. */
async function labelPage(network, name) {
  const label = network.labels.findIndex(([one]) => one === name);
  if (label < 0) throw new Error(`no label ${name}`);
  const { order = "" } = asked();
  const layers = await Promise.all(searched(network).map((layer) => layerData(network, layer)));
  const found = [];
  for (const of of layers) {
    for (const channel of of.data.values.keys()) {
      const place = of.data.labels[channel].indexOf(label);
      const count = labelCounts(of, channel).get(label) ?? 0;
      if (place < 0 && !count) continue;
      const above = place < 0 ? -Infinity : of.data.associations[channel][place];
      if (above <= 0 && !count) continue;
      const rank = of.data.pictures[channel].findIndex((one) => of.pictures.labels[one] === label);
      const text = `${count} of ${patchCount(of, channel)} patches${place < 0 ? "" : `, ${signed(above)}`}`;
      found.push({ of, channel, rank: Math.max(rank, 0), text, count, above });
    }
  }
  const [first, second] = order === "count" ? ["count", "above"] : ["above", "count"];
  found.sort((a, b) => b[first] - a[first] || b[second] - a[second]);
  const values = { network: network.name, label: name, order };
  const sorting = element("select", { onchange: () => {
    location.hash = address({ ...values, order: sorting.value, layer: asked().layer });
  } }, element("option", { value: "" }, "how far above the average"),
    element("option", { value: "count" }, "how many of its patches"));
  sorting.value = order;
  return {
    title: `${name}: channels of ${network.title}`,
    trail: [network],
    parts: [heading(2, `Channels that fire most on “${name}”`),
      facts([["pictures of this label", network.labels[label][1].toLocaleString("en")],
        ["of", network.pictures.toLocaleString("en")], ["channels found", found.length.toLocaleString("en")]]),
      hint("Below each channel: how many of its top patches are from pictures of this label; and by how many standard deviations its mean over them is above its mean over all pictures."),
      element("div", { className: "controls" }, element("label", {}, "ranked by", sorting), layerChoice(network, values)),
      ...otherNetworks({ label: name }, network, (other) => other.labels.some(([one]) => one === name)),
      element("p", {}, element("a", { href: address({ search: name, network: network.name }) },
        `Classes and pictures with “${name}” in their names`)),
      ...results(found, "No channel has it among its first labels.")],
  };
}

/** The channels that a picture excites most. */
async function picturePage(network, name) {
  const pictures = await load(`${network.key}/pictures`);
  const picture = pictures.names.indexOf(name);
  if (picture < 0) throw new Error(`no picture ${name} among the top patches`);
  const layers = await Promise.all(searched(network).map((layer) => layerData(network, layer)));
  const found = [];
  for (const of of layers) {
    for (const channel of of.data.values.keys()) {
      const rank = of.data.pictures[channel].indexOf(picture);
      if (rank < 0) continue;
      const text = `its patch ${rank + 1} of ${patchCount(of, channel)}: ${number(of.data.values[channel][rank])}`;
      found.push({ of, channel, rank, text });
    }
  }
  found.sort((a, b) => a.rank - b.rank);
  const label = network.labels[pictures.labels?.[picture]]?.[0];
  const whole = thumbnail(network, pictures, picture);
  return {
    title: `${name}: channels of ${network.title}`,
    trail: [network],
    parts: [heading(2, `Channels that ${name} excites`),
      whole && element("div", { className: "rows" }, element("figure", { className: "wide" }, whole)),
      label ? element("p", {}, "label: ", element("a", { href: address({ network: network.name, label }) }, label)) : null,
      hint(`The channels that have a place of this picture among their top patches, those first of which it is the best: ${many(found.length, "channel")}.`),
      element("div", { className: "controls" }, layerChoice(network, { network: network.name, picture: name })),
      ...otherNetworks({ picture: name }, network, () => true),
      ...results(found, "None of these layers has it among its top patches.")],
  };
}

/** Links to the same of the other networks. */
function otherNetworks(values, network, has) {
  const others = loaded.get("index").networks.filter((other) => other !== network && has(other));
  if (!others.length) return [];
  return [element("p", {}, "The same in: ", ...others.flatMap((other, place) => [place ? ", " : "",
    element("a", { href: address({ network: other.name, ...values }) }, other.title)]))];
}

/** The pictures of a network's top patches, those of most channels first. */
async function picturesPage(network) {
  const pictures = await load(`${network.key}/pictures`);
  const shown = Math.min(pictures.names.length, pictures.sheets.pictures.total);
  return {
    title: `Pictures: ${network.title}`,
    trail: [network],
    parts: [heading(2, "Pictures that excite its channels"),
      hint(`${many(pictures.names.length, "picture")} of ${network.pictures.toLocaleString("en")} gave some channel a top patch. Those of most channels come first${shown < pictures.names.length ? `; here are the first ${shown.toLocaleString("en")}, and search finds the others by name` : ""}. Choose one for its channels.`),
      element("ul", { className: "wall wide" }, ...pictures.names.slice(0, shown).map((name, picture) => element("li", {},
        element("a", { href: address({ network: network.name, picture: name }) },
          thumbnail(network, pictures, picture, { lazy: true }), element("span", { className: "under" }, name)))))],
  };
}

/** What a text finds: labels, pictures and classes, in all networks. */
async function searchPage(index, text) {
  const wanted = text.trim().toLowerCase();
  const has = (name) => name.toLowerCase().includes(wanted);
  const starts = (name) => name.toLowerCase().split(/[\s/_,-]+/).some((word) => word.startsWith(wanted));
  const parts = [heading(2, `Found for “${text}”`)];
  const list = (title, links, draw = () => null) => {
    if (!links.length) return;
    links.sort(([, one], [, other]) => starts(other) - starts(one)); // those of a whole word first
    const rest = links.length > 100 ? hint(`and ${many(links.length - 100, "more", "more")}; write more of the name`) : null;
    parts.push(heading(3, title), element("ul", { className: "chips" },
      ...links.slice(0, 100).map(([href, name]) => element("li", {}, element("a", { href }, draw(name), name)))), rest);
  };
  for (const network of index.networks) {
    const of = index.networks.length > 1 ? ` (${network.title})` : "";
    list(`Labels${of}`, network.labels.filter(([name, count]) => count && has(name)).map(([name, count]) =>
      [address({ network: network.name, label: name }), `${name}, ${many(count, "picture")}`]));
    const pictures = await load(`${network.key}/pictures`);
    const small = (name) => thumbnail(network, pictures, pictures.names.indexOf(name), { lazy: true });
    list(`Pictures${of}`, pictures.names.filter(has).map((name) => [address({ network: network.name, picture: name }), name]), small);
    for (const layer of network.layers.filter((one) => one.titled)) {
      const { data } = await layerData(network, layer);
      list(`Classes, ${layer.name}${of}`, [...data.classes.entries()].filter(([, name]) => has(name)).map(
        ([channel, name]) => [channelAddress(network, layer, channel), name]));
    }
    if (/^\d+$/.test(wanted)) {
      const channel = Number(wanted);
      list(`Channels ${channel}${of}`, network.layers.filter((layer) => channel < channelsOf(layer)).map(
        (layer) => [channelAddress(network, layer, channel), `${layer.name}, channel ${channel}`]));
    }
    list(`Layers${of}`, network.layers.filter((layer) => has(layer.name)).map(
      (layer) => [address({ network: network.name, layer: layer.name }), layer.name]));
  }
  if (parts.length === 1) parts.push(hint("Nothing has this in its name. Try a part of a label, of a picture's name, of a class, or LAYER:CHANNEL."));
  return { title: `${text}: jaxviz atlas`, trail: [], parts };
}

/** Where a text leads at once: a label or a channel that is called just so; else to all it finds. */
function destination(index, text) {
  const current = index.networks.find((one) => one.name === asked().network);
  const networks = [...new Set([current, ...index.networks])].filter(Boolean);
  const wanted = text.trim().toLowerCase();
  for (const network of networks) {
    const label = network.labels.find(([name]) => name.toLowerCase() === wanted);
    if (label) return address({ network: network.name, label: label[0] });
    const [, name, channel] = wanted.match(/^(.+?)[\s:,/]+(?:channel\s+)?(\d+)$/) ?? [];
    const layer = network.layers.find((one) => one.name.toLowerCase() === name);
    if (layer && Number(channel) < channelsOf(layer)) return channelAddress(network, layer, Number(channel));
  }
  return address({ search: text.trim(), network: current?.name });
}
