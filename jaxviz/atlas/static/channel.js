// One channel: its patches, the labels it answers to, the image made for it, its filter.
"use strict";

async function channelPage(network, layer, channel) {
  const of = await layerData(network, layer);
  const count = channelsOf(layer);
  const step = (by) => channelAddress(network, layer, (channel + by + count) % count);
  const { data } = of;
  return {
    title: `${channelName(of, channel)}, ${network.title}`,
    trail: [network, layer, channel],
    parts: [
      heading(2, channelName(of, channel)),
      element("div", { className: "controls steps" },
        element("a", { className: "button", rel: "prev", href: step(-1) }, "← previous"),
        element("a", { className: "button", rel: "next", href: step(1) }, "next →"),
        element("a", { className: "button", href: address({ network: network.name, layer: layer.name }) }, "All channels")),
      facts([["largest activation", number(data.values[channel][0])],
        ["mean over the pictures", number(data.mean[channel])], ["a unit sees", sees(layer)]]),
      ...patchesPart(of, channel), ...labelsPart(of, channel), ...madePart(of, channel), ...filterPart(of, channel),
    ],
  };
}

function patchesPart(of, channel) {
  const { network, layer, data, pictures } = of;
  const figures = data.pictures[channel].flatMap((picture, rank) => {
    if (picture < 0) return [];
    const name = pictures.names[picture];
    const label = network.labels[pictures.labels?.[picture]]?.[0];
    const [row, col] = [data.rows[channel][rank], data.cols[channel][rank]];
    const value = number(data.values[channel][rank]);
    const box = patch(of, channel, rank, `Patch ${rank + 1} of channel ${channel}, from ${name}`);
    box.title = layer.whole ? name : `${name}, unit in row ${row}, column ${col}`;
    const link = element("a", { href: address({ network: network.name, picture: name }) }, name.split("/").at(-1));
    const caption = element("figcaption", {}, element("strong", {}, value), " ", link);
    if (label) {
      caption.append(element("br"), element("a", { href: address({ network: network.name, label }) }, label));
    }
    return [element("figure", {}, box, caption)];
  });
  return [heading(3, "What excites it most"),
    hint(`The patches with the largest activations, at most one from a picture, out of ${many(network.pictures, "picture")}. Below each is the activation, and the picture with its label. What lies outside the picture is black.`),
    element("div", { className: "rows" }, ...figures)];
}

function labelsPart(of, channel) {
  const { network, data } = of;
  if (!data.labels) return [];
  const [counts, total] = [labelCounts(of, channel), patchCount(of, channel)];
  const most = Math.max(...data.associations[channel], 0.001);
  const rows = data.labels[channel].map((label, place) => {
    const [name, pictures] = network.labels[label];
    const above = data.associations[channel][place];
    const bar = element("span", { className: "bar" });
    bar.style.width = `${(100 * Math.max(above, 0)) / most}%`;
    return element("tr", {},
      element("th", { scope: "row" }, element("a", { href: address({ network: network.name, label: name }) }, name)),
      element("td", {}, `${counts.get(label) ?? 0} of ${total}`),
      element("td", {}, number(data.labelMeans[channel][place])),
      element("td", { className: "measure" }, bar, element("span", {}, signed(above))),
      element("td", {}, pictures.toLocaleString("en")));
  });
  const head = ["label", "of these patches", "mean activation", "above the average", "pictures"];
  return [heading(3, "Which labels it answers to"),
    hint("Mean activation: of each picture of the label its largest activation is taken, and these are averaged. Above the average: how many standard deviations that is above the mean over all pictures."
      + (network.labels.length > rows.length ? ` Shown are the first ${rows.length} of ${network.labels.length} labels.` : "")),
    element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Labels" },
      element("table", {}, element("thead", {}, element("tr", {},
        ...head.map((text) => element("th", { scope: "col" }, text)))), element("tbody", {}, ...rows)))];
}

function madePart({ folder, data }, channel) {
  const sheets = data.sheets.made;
  if (!sheets) return [];
  return [heading(3, "What was made for it"),
    hint("An image that gradient ascent made from noise, to excite the channel everywhere."),
    element("div", { className: "rows" }, element("figure", { className: "wide" },
      tile(folder, "made", sheets, channel, `The image made for channel ${channel}`),
      element("figcaption", {}, "mean activation on it: ", element("strong", {}, number(data.scores[channel])))))];
}

function filterPart({ folder, layer, data }, channel) {
  const sheets = data.sheets.filters;
  if (!sheets) return [];
  const text = sheets.form === "filters"
    ? "The filter in color, as the patch it answers to most; middle gray is a weight of zero."
    : `Each square is one of ${many(sheets.inputs, "channel")} that the filter reads: lighter adds, darker subtracts.`;
  const box = tile(folder, "filters", sheets, channel, `The filter of channel ${channel} of ${layer.name}`);
  return [heading(3, "Its filter"), hint(text),
    element("div", { className: "rows" }, element("figure", { className: "wide" }, box))];
}
