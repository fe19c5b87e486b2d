"""Exhibits of one network or one picture: filters, activation maps, occlusion."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageColor, ImageFilter

from .. import draw
from .._checks import InputError, count
from .._checks import channels as checked_channels
from ..incremental import receptive_field
from ..networks.network import Network
from ..techniques.activations import activation_maps, strongest_channels
from ..techniques.filters import filter_slices, filter_tiles
from ..techniques.occlusion import occlusion_map
from ..techniques.scores import feature_map, log_probability, logit, probability
from .exhibit import Exhibit, Picture, number, shown

FILLS = "mean, gray, black, white, blur or a color such as #80a0ff"
SCORES = {
    "log-probability": (log_probability, "drop of log probability (nats)"),
    "probability": (probability, "drop of probability"),
    "logit": (logit, "drop of the raw score"),
}
_LEAST_SCALE = 0.05  # in units of a class score: smaller drops stay pale, for nothing mattered


def filters(network: Network, layer: str, *, top: int, channels: int = 16) -> Exhibit:
    """The first `top` filters of a layer, in color where they read an image, else in gray."""
    kernel = network.kernel(layer)
    height, width, inputs, outputs = kernel.shape
    top = min(count(top, "top"), outputs)
    about = f"{network.spec.title} {layer}: {top} of {outputs} filters, {height} x {width}"
    facts = [
        ("layer", layer),
        ("filters", str(outputs)),
        ("size", f"{height} x {width} x {inputs}"),
        ("largest weight", number(float(jnp.abs(kernel).max()))),
    ]
    if layer == network.role("first_layer"):
        tiles = np.asarray(filter_tiles(kernel))
        figure = draw.tile_grid(
            [draw.Tile(tile, str(i)) for i, tile in enumerate(tiles[:top])],
            columns=min(16, top), title=f"{about} pixels in color",
        )  # fmt: skip
        alt = (
            f"{top} small color pictures, one for each first-layer filter of {network.spec.title}."
        )
        return Exhibit(figure, {f"{layer}.filters": tiles}, facts, alt)
    slices = np.asarray(filter_slices(kernel))
    channels = min(channels, inputs)
    figure = draw.slice_grid(
        slices, filters=range(top), channels=channels,
        title=f"{about}, {channels} of {inputs} input channels each",
    )  # fmt: skip
    alt = f"Rows of small gray squares: for {top} filters of {layer}, a square an input channel."
    return Exhibit(figure, {f"{layer}.slices": slices}, facts, alt)


def activations(
    network: Network, picture: Picture, layer: str, *, top: int, channels: Sequence[int] = ()
) -> Exhibit:
    """Where the strongest (or the given) channels of a layer fire in a picture."""
    images = shown(network, picture.pixels[None])
    maps = activation_maps(network.apply, network.params, images, layers=layer)[layer][0]
    if maps.ndim != 3:
        raise InputError(f"layer: {layer} has no maps, its shape is {maps.shape}")
    most = maps.shape[-1]
    chosen = (
        checked_channels(channels, most)
        or strongest_channels(maps, k=min(count(top, "top"), most)).tolist()
    )
    field = receptive_field(network.apply, network.params, images.shape[1:], layer=layer)
    extent = draw.map_extent(field, maps.shape[:2])
    strongest = [number(maps[..., channel].max()) for channel in chosen]
    captions = [f"channel {c}, up to {value}" for c, value in zip(chosen, strongest, strict=True)]
    figure = draw.overlays(
        [picture.pixels] * (len(chosen) + 1),
        [None, *(maps[..., channel] for channel in chosen)],
        ["the picture", *captions],
        [extent] * (len(chosen) + 1),
        columns=min(5, len(chosen) + 1),
        title=f"{network.spec.title} {layer} on {picture.name}",
    )
    facts = [
        ("layer", layer),
        ("channels", f"{most}, of {maps.shape[0]} x {maps.shape[1]} units"),
        ("one unit sees", f"{field.size[0]} x {field.size[1]} pixels"),
        ("fire somewhere", f"{int((maps.max(axis=(0, 1)) > 0).sum())} of {most} channels"),
    ]
    alt = f"{picture.name} in gray, with orange where each of {len(chosen)} channels fires."
    return Exhibit(figure, {f"{layer}.maps": np.asarray(maps)}, facts, alt)


def fill_value(text: str, network: Network, pixels: np.ndarray) -> Any:
    """What hides the window, in normalized units: see `FILLS`."""
    normalize = network.preprocessing.normalize
    if text == "mean":
        return np.array(network.role("mean_fill"), np.float32)
    if text == "blur":
        blurred = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(10))
        return normalize(np.asarray(blurred))
    try:
        color = np.array(ImageColor.getrgb(text)[:3], np.uint8)
    except (ValueError, OverflowError):  # the latter for rgb(300, 0, 0)
        raise InputError(f"fill: unknown {text!r}; valid: {FILLS}") from None
    return normalize(color)


def top_classes(network: Network, pixels: np.ndarray, *, k: int = 5) -> list[tuple[int, float]]:
    """The `k` most probable classes of a picture with their probabilities."""
    layer = network.role("logits")
    images = shown(network, pixels[None])
    logits = activation_maps(network.apply, network.params, images, layers=layer)[layer]
    values, indices = _most_probable(logits[0], k=k)
    return list(zip(indices.tolist(), values.tolist(), strict=True))


@functools.partial(jax.jit, static_argnames="k")
def _most_probable(logits: Any, *, k: int) -> Any:
    return jax.lax.top_k(jax.nn.softmax(logits), k)


def target_score(
    network: Network, target: str | None, pixels: np.ndarray, kind: str
) -> tuple[Any, str, str]:
    """Turn --target into a score, its name and the unit of its drop.

    A target is a class, by index or name, or LAYER:CHANNEL, a feature map summed over space. The
    default is the most probable class, or where there are none, the strongest channel of the
    feature layer.
    """
    if kind not in SCORES:
        raise InputError(f"score: unknown {kind!r}; valid: {', '.join(SCORES)}")
    if target is None and network.spec.logits is None:
        layer = network.role("feature_layer")
        images = shown(network, pixels[None])
        maps = activation_maps(network.apply, network.params, images, layers=layer)[layer]
        target = f"{layer}:{int(maps.sum(axis=(0, 1, 2)).argmax())}"
    if target is not None and ":" in target:
        layer, _, channel = target.rpartition(":")
        if not channel.isdecimal():
            raise InputError(f"target: expected LAYER:CHANNEL, got {target!r}")
        return feature_map(layer, int(channel)), target, "drop of the map's sum"
    index = top_classes(network, pixels, k=1)[0][0] if target is None else None
    index = network.class_index(str(target)) if index is None else index
    make, unit = SCORES[kind]
    return make(index, layer=network.spec.logits), network.label(index), unit


def occlusion(
    network: Network,
    pictures: Sequence[Picture],
    *,
    targets: Sequence[str | None],
    window: int = 32,
    stride: int = 8,
    fill: str = "mean",
    kind: str = "log-probability",
    chunk_size: int | None = None,
) -> Exhibit:
    """What mattered for a score in each picture."""
    rows: list[draw.Heatmap] = []
    arrays: dict[str, Any] = {}
    facts: list[tuple[str, str]] = []
    unit, floor = "", 0.0
    for i, (picture, target) in enumerate(zip(pictures, targets, strict=True)):
        score, name, unit = target_score(network, target, picture.pixels, kind)
        result = occlusion_map(
            network.apply, network.params, shown(network, picture.pixels[None]), score=score,
            window=window, stride=stride, fill=fill_value(fill, network, picture.pixels),
            chunk_size=chunk_size,
        )  # fmt: skip
        baseline, heatmap = float(np.asarray(result.baseline)[0]), np.asarray(result.heatmap)[0]
        row, col = np.unravel_index(heatmap.argmax(), heatmap.shape)
        is_class = kind == "log-probability" and ":" not in name
        said = f"probability {np.exp(baseline):.2g}" if is_class else number(baseline)
        floor = 0.0 if ":" in name else _LEAST_SCALE
        caption = f"{picture.name}: {name}, {said}"
        rows.append(draw.Heatmap(picture.pixels, heatmap, caption, (window, window)))
        most = f"{unit} up to {number(heatmap.max())}, at pixel {row}, {col}"
        facts.append((picture.name, f"{name}, {said}; {most}"))
        prefix = f"{i}." if len(pictures) > 1 else ""
        for field, value in result._asdict().items():
            arrays[prefix + field] = np.asarray(value)
    figure = draw.heatmap_rows(
        rows, unit=unit, least_scale=floor,
        title=f"{network.spec.title}: window {window} x {window}, stride {stride}, fill {fill}",
    )  # fmt: skip
    names = ", ".join(picture.name for picture in pictures)
    alt = f"{names}: each with its occlusion heatmap, and dimmed where nothing mattered."
    return Exhibit(figure, arrays, facts, alt)
