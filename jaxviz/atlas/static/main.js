// Shows the page that the address asks for.
"use strict";

const page = document.getElementById("page");
const note = document.getElementById("note");
let turn = 0; // of the newest page; an older one that comes late is not shown

function say(text, wrong = false) {
  note.textContent = text;
  note.classList.toggle("wrong", wrong);
}

/** The page of an address: {title, trail, parts}. */
async function pageOf(index, { network: name, layer: layerName, channel, label, picture, view, search }) {
  if (search) return searchPage(index, search);
  if (!name) return homePage(index);
  const network = index.networks.find((one) => one.name === name);
  if (!network) throw new Error(`no network ${name} in this atlas`);
  if (label) return labelPage(network, label);
  if (picture) return picturePage(network, picture);
  if (view === "pictures") return picturesPage(network);
  if (!layerName) return homePage({ networks: [network] });
  const layer = network.layers.find((one) => one.name === layerName);
  if (!layer) throw new Error(`${network.title} has no layer ${layerName} in this atlas`);
  if (channel === undefined) return wallPage(network, layer);
  const count = channelsOf(layer);
  if (!/^\d+$/.test(channel) || Number(channel) >= count) {
    throw new Error(`${layer.name} has the channels 0 to ${count - 1}, not ${channel}`);
  }
  return channelPage(network, layer, Number(channel));
}

function trailOf(index, [network, layer, channel]) {
  const several = index.networks.length > 1;
  const links = network ? [element("a", { href: "#" }, several ? "all networks" : "all layers")] : [];
  if (network && several) links.push(element("a", { href: address({ network: network.name }) }, network.title));
  if (layer) links.push(element("a", { href: address({ network: network.name, layer: layer.name }) }, layer.name));
  if (channel !== undefined) links.push(element("span", { "aria-current": "page" }, `channel ${channel}`));
  return links.flatMap((link, place) => (place ? [" › ", link] : [link]));
}

async function show({ focus = false } = {}) {
  const own = ++turn;
  try {
    const index = await load("index");
    const made = await pageOf(index, asked());
    if (own !== turn) return;
    say("");
    document.title = made.title;
    const trail = trailOf(index, made.trail);
    document.getElementById("trail").replaceChildren(...trail);
    document.getElementById("trail").hidden = !trail.length;
    page.replaceChildren(...made.parts.filter((part) => part !== null));
    page.dataset.address = location.hash;
    if (focus) page.focus({ preventScroll: true });
    scrollTo(0, history.state?.top ?? 0);
  } catch (error) {
    if (own === turn) {
      say(error.message, true);
      document.title = "jaxviz atlas";
      document.getElementById("trail").hidden = true;
      page.dataset.address = location.hash;
      page.replaceChildren(element("p", {}, element("a", { href: "#" }, "to the start")));
    }
  }
}

/** Arrow keys go to the page before and the page after. */
addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.matches("input, select, textarea, .scroll")) return;
  const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  page.querySelector(`a[rel=${rel}]`)?.click();
});

document.getElementById("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = document.getElementById("query").value;
  if (text.trim()) location.hash = destination(await load("index"), text);
});

// Each entry of the history remembers how far down its page was.
history.scrollRestoration = "manual";
let scrolled = 0;
addEventListener("scroll", () => {
  clearTimeout(scrolled);
  scrolled = setTimeout(() => history.replaceState({ top: scrollY }, ""), 100);
});
addEventListener("hashchange", () => { clearTimeout(scrolled); show({ focus: true }); });
show().then(() => {
  const labels = new Set((loaded.get("index")?.networks ?? []).flatMap(({ labels: own }) => own.filter(([, count]) => count).map(([name]) => name)));
  document.getElementById("labels").append(...[...labels].slice(0, 1000).map((value) => element("option", { value })));
});
