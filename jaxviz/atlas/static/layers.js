// The networks and their layers, and the wall of a layer.
"use strict";

const channelAddress = (network, layer, channel) =>
  address({ network: network.name, layer: layer.name, channel });

/** Every network with its layers. */
async function homePage(index) {
  const example = index.networks.flatMap(({ labels }) => labels)[0]?.[0];
  const parts = [element("p", { className: "lead" },
    "This atlas shows, for every channel of a network, the places in a set of pictures that excite it most. Choose a layer"
    + (example === undefined ? "." : `, or a label such as “${example}” for the channels that fire most on its pictures.`))];
  for (const network of index.networks) {
    const { pictures, skipped, labels, layers } = network;
    const channels = layers.reduce((sum, layer) => sum + channelsOf(layer), 0);
    const pairs = [["pictures", pictures.toLocaleString("en")], ["channels", channels.toLocaleString("en")]];
    if (skipped) pairs.push(["could not be read", skipped.toLocaleString("en")]);
    parts.push(element("section", {}, heading(2, network.title), facts(pairs),
      element("ul", { className: "layers" }, ...layers.map((layer) => element("li", {},
        element("a", { href: address({ network: network.name, layer: layer.name }) }, element("strong", {}, layer.name),
          element("small", {}, `${layer.shape.join(" × ")} (${layer.kind})`),
          element("small", {}, `sees ${sees(layer)}`))))),
      labels.length ? heading(3, "Labels of the pictures") : null,
      labels.length ? element("ul", { className: "chips" }, ...labels.filter(([, count]) => count).slice(0, 200).map(([name, count]) => element("li", {},
        element("a", { href: address({ network: network.name, label: name }) }, `${name} (${count.toLocaleString("en")})`)))) : null,
      element("p", {}, element("a", { href: address({ network: network.name, view: "pictures" }) },
        "Which pictures excite its channels?"))));
  }
  return { title: "jaxviz atlas", parts, trail: [] };
}

/** The wall: every channel of a layer by its best patch. */
async function wallPage(network, layer) {
  const of = await layerData(network, layer);
  const { order = "" } = asked();
  const channels = [...of.data.values.keys()];
  const best = (channel) => of.data.values[channel][0] ?? -Infinity;
  if (order === "strongest") channels.sort((a, b) => best(b) - best(a) || a - b);
  const sorting = element("select", { onchange: () => {
    location.hash = address({ network: network.name, layer: layer.name, order: sorting.value });
  } }, element("option", { value: "" }, "by number"), element("option", { value: "strongest" }, "strongest first"));
  sorting.value = order;
  const wall = element("ul", { className: "wall" }, ...channels.map((channel) => {
    const alt = `The patch that excites channel ${channel} most`;
    const name = of.data.titles?.[channel] ?? channel;
    return element("li", {}, element("a", { href: channelAddress(network, layer, channel) },
      patch(of, channel, 0, alt, { lazy: true }), element("span", { className: "under" }, String(name))));
  }));
  return {
    title: `${layer.name} of ${network.title}`,
    trail: [network, layer],
    parts: [
      heading(2, `${layer.name}: ${many(channels.length, "channel")}`),
      facts([["activations", layer.shape.join(" × ")], ["a unit sees", sees(layer)], ["kind", layer.kind]]),
      hint("Each channel is shown by the patch, out of all pictures, that excites it most. Choose a channel to see more of its patches."),
      element("div", { className: "controls" }, element("label", {}, "order", sorting), neighbors(network, layer)),
      wall,
    ],
  };
}

/** Links to the layers before and after. */
function neighbors(network, layer) {
  const place = network.layers.indexOf(layer);
  const link = (other, text, rel) => (other ? element("a", {
    className: "button", rel, href: address({ network: network.name, layer: other.name }) }, text) : null);
  return element("span", { className: "steps" },
    link(network.layers[place - 1], `← ${network.layers[place - 1]?.name}`, "prev"),
    link(network.layers[place + 1], `${network.layers[place + 1]?.name} →`, "next"));
}
