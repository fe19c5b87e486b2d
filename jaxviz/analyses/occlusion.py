"""What mattered for a score in each picture, found by hiding parts of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jax import random
from jaxtyping import Bool, Float, Int, UInt8
from PIL import ImageColor, ImageFilter

from .._checks import InputError, count, finite, pair
from ..pictures.decoding import Source
from ..pictures.preprocessing import by_images
from ..techniques.occlusion.mapping import occlusion_map
from ..techniques.occlusion.problem import window_starts
from ..techniques.occlusion.uncertainty import occlusion_statistics, random_fills
from .base import Picture, kind, normalized, number, picture_fields, read_pictures
from .targets import Target, find_target

if TYPE_CHECKING:
    from ..networks.network import Network

_PLAIN_FILLS = "mean, gray, black, white, blur"
_FILLS = f"{_PLAIN_FILLS} or a color such as #80a0ff"
_PALE = 0.05  # in units of a class score: drops smaller than this look like nothing


@kind("occlusion")
class OcclusionAnalysis(NamedTuple):
    """How the score of each picture changed as a window of it was hidden.

    For each picture: its name and path, the sha256 of its file (of the pixels where there is none),
    its pixels as the network gets them, what the score is of, and for a class its index and
    probability. `score` is the kind of a class's score, "sum" for a feature map; `unit` is that of
    its drop. `fill` is what hid, as it was asked for, `fill_values` in normalized units, for each
    channel or each pixel, and `fill_pixels` as it looks. `row_starts` and `col_starts` are the
    first pixels of the windows; `scores`, `baseline`, `heatmap` and `coverage` are those of
    `jaxviz.OcclusionMap`. If fills were drawn, `repeats` of them, scores and heatmap are means
    over them, `fill_values` and `fill_pixels` are the first, `heatmap_error` is the standard error
    of the heatmap, and `distinct` says where it is told from zero. `precision` is "bfloat16" where
    products might be rounded.
    """

    network: str
    pictures: tuple[str, ...]
    paths: tuple[str, ...]
    sha256: tuple[str, ...]
    pixels: UInt8[np.ndarray, "pictures height width 3"]
    targets: tuple[str, ...]
    class_indices: tuple[int | None, ...]
    probabilities: tuple[float | None, ...]
    score: str
    unit: str
    window: tuple[int, int]
    stride: tuple[int, int]
    fill: str
    fill_values: Float[np.ndarray, "pictures ... channels"]
    fill_pixels: UInt8[np.ndarray, "pictures ... 3"]
    row_starts: Int[np.ndarray, " rows"]
    col_starts: Int[np.ndarray, " cols"]
    scores: Float[np.ndarray, "pictures rows cols"]
    baseline: Float[np.ndarray, " pictures"]
    heatmap: Float[np.ndarray, "pictures height width"]
    coverage: Int[np.ndarray, "height width"]
    repeats: int = 1
    distinct: Bool[np.ndarray, "pictures height width"] | None = None
    heatmap_error: Float[np.ndarray, "pictures height width"] | None = None
    precision: str | None = None

    @property
    def answers(self) -> list[str]:
        """For each picture what the score is of, and its value before anything was hidden."""
        if self.score == "log-probability":
            values = [
                "probability > 0.99" if (value or 0) >= 0.995 else f"probability {value:.2g}"
                for value in self.probabilities
            ]
        else:
            of = "sum of its map " if self.score == "sum" else ""
            values = [f"{of}{number(value)}" for value in self.baseline]
        return [f"{name}, {value}" for name, value in zip(self.targets, values, strict=True)]

    @property
    def least_scale(self) -> float:
        """The drop up to which colors stay pale, however small the largest one is."""
        return 0.0 if self.score == "sum" else _PALE

    @property
    def facts(self) -> list[tuple[str, str]]:
        """For each picture its answer, the largest drop, any larger rise, and where they are."""
        lines = []
        for picture, answer, heatmap in zip(self.pictures, self.answers, self.heatmap, strict=True):
            least = "up to" if heatmap.max() > 0 else "nowhere above 0, highest"
            most = f"{self.unit} {least} {_where(heatmap, heatmap.argmax())}"
            if -heatmap.min() > max(heatmap.max(), 0):
                most += f"; rise up to {_where(-heatmap, heatmap.argmin())}"
            if self.score.endswith("probability") and np.abs(heatmap).max() < self.least_scale:
                most += "; too little to be colored (the score logit may show more: --score logit)"
            lines.append((picture, f"{answer}; {most}"))
        return lines

    @property
    def alt(self) -> str:
        """What the figure shows, in a sentence."""
        names = ", ".join(self.pictures)
        return f"{names}: each with its occlusion heatmap, and dimmed where nothing mattered."


def _where(heatmap: np.ndarray, place: Any) -> str:
    row, col = np.unravel_index(place, heatmap.shape)
    return f"{number(heatmap[row, col])}, at row {row}, column {col}"


def occlusion(
    network: "Network",
    pictures: Sequence[Source | Picture],
    *,
    targets: str | int | Sequence[str | int | None] | None = None,
    window: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    fill: str | None = None,
    repeats: int = 1,
    seed: int = 0,
    score: str = "log-probability",
    chunk_size: int | None = None,
    precision: str | None = None,
    track: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> OcclusionAnalysis:
    """Hide parts of each picture and see how its score changes.

    Args:
        network: what `jaxviz.load` returns.
        pictures: paths, PIL images, uint8 arrays, or each a `Picture`.
        targets: what to explain, one for all pictures or one for each: a class by index or name, or
            "LAYER:CHANNEL", a feature map. By default each picture's most probable class.
        window: size of the hidden part in pixels, one number or (rows, cols), by default a seventh
            of the image's shorter side: 32 pixels of 224.
        stride: step between windows in pixels, one number or (rows, cols), by default a
            twenty-eighth of that side, but not more than the window: 8 pixels of 224.
        fill: what hides: "mean" (of the training pictures), "gray", "black", "white", "blur" (of
            the picture) or a color such as "#80a0ff". By default the mean, gray where it is not
            known.
        repeats: how many fills to draw instead, three or more: the pictures moved at random, noise,
            and each picture blurred (`jaxviz.random_fills`). The map is their mean, with what is
            not told from zero.
        seed: of the fills that are drawn.
        score: of a class: "log-probability", "probability" or "logit".
        chunk_size: variants evaluated at a time, by default what memory allows.
        precision: "bfloat16" rounds what is multiplied, where the processor is faster so; see
            `jaxviz.occlusion_map`.
        track: hands the pictures on one after the other, as a progress bar does.

    Raises:
        InputError: any of these is not as above, or the targets mix classes with feature maps.

    >>> import jaxviz
    >>> network, gray = jaxviz.load("squeezenet"), np.full((300, 300, 3), 128, np.uint8)
    >>> found = occlusion(network, [gray], targets="tabby", window=113, stride=113)
    >>> found.targets, found.scores.shape
    (('tabby',), (1, 3, 3))
    """
    read = read_pictures(network, pictures)
    if targets is None or isinstance(targets, str | int):
        targets = [targets] * len(read)
    if not read or len(targets) != len(read):
        raise InputError(f"targets: expected one for each of {len(read)} pictures, at least one")
    fields = picture_fields(network, read)
    usual_size, usual_step = usual_window(read[0].pixels.shape)
    sizes = pair(usual_size if window is None else window, "window")
    steps = pair(min(usual_step, *sizes) if stride is None else stride, "stride")
    found = [
        find_target(network, name, one.pixels, score=score)
        for one, name in zip(read, targets, strict=True)
    ]
    if len({one.unit for one in found}) > 1:
        raise InputError("targets: expected classes alone or feature maps alone, got both")
    if repeats != 1 and count(repeats, "repeats") < 3:
        raise InputError(f"repeats: expected 1, or 3 or more, got {repeats}")
    if repeats == 1:
        fill = fill or usual_fill(network)
        fills = [fill_value(fill, network, one.pixels) for one in read]
        drawn = [one[None] for one in fills]
    else:
        if fill is not None:
            raise InputError("fill, repeats: name one fill, or draw several")
        images, key = normalized(network, np.stack([one.pixels for one in read])), random.key(seed)
        made = np.asarray(random_fills(images, key=key, num=repeats))
        fill, fills, drawn = f"{repeats} drawn", list(made[0]), list(made.swapaxes(0, 1))
    options = {
        "window": sizes, "stride": steps, "chunk_size": chunk_size, "precision": precision,
    }  # fmt: skip
    results = [
        _measured(network, one, target, own, seed, options)
        for one, target, own in track([*zip(read, found, drawn, strict=True)])
    ]
    for one, result in zip(read, results, strict=True):
        finite(result.baseline, f"score of {one.name}")
    rows, cols = (
        window_starts(length, size, step)
        for length, size, step in zip(read[0].pixels.shape, sizes, steps, strict=False)
    )

    def joined(field: str) -> np.ndarray:
        return np.concatenate([np.asarray(getattr(result, field)) for result in results])

    return OcclusionAnalysis(
        network=network.spec.title,
        **fields,
        targets=tuple(one.name for one in found),
        class_indices=tuple(one.class_index for one in found),
        probabilities=tuple(one.probability for one in found),
        score="sum" if found[0].class_index is None else score,
        unit=found[0].unit,
        window=sizes,
        stride=steps,
        fill=fill,
        fill_values=np.stack(fills),
        fill_pixels=network.preprocessing.denormalize(np.stack(fills)),
        row_starts=rows,
        col_starts=cols,
        scores=joined("scores"),
        baseline=joined("baseline"),
        heatmap=joined("heatmap"),
        coverage=np.asarray(results[0].coverage),
        repeats=repeats,
        distinct=joined("distinct") if repeats > 1 else None,
        heatmap_error=joined("heatmap_error") if repeats > 1 else None,
        precision=precision,
    )


class _Measured(NamedTuple):
    scores: Any
    baseline: Any
    heatmap: Any
    coverage: Any
    distinct: Any = None
    heatmap_error: Any = None


def _measured(
    network: "Network",
    picture: Picture,
    target: Target,
    fills: Any,
    seed: int,
    options: Mapping[str, Any],
) -> _Measured:
    """What one picture's occlusion gives, by one fill or by several."""
    run = network.apply, network.params, normalized(network, picture.pixels[None])
    if len(fills) == 1:
        return _Measured(*occlusion_map(*run, score=target.score, fill=fills[0], **options))
    found = occlusion_statistics(
        *run, score=target.score, fills=fills[:, None], key=random.key(seed), **options
    )
    mean = found.baseline[:, None, None] - found.drop
    return _Measured(
        mean, found.baseline, found.heatmap, found.coverage, found.distinct, found.heatmap_error
    )


def usual_window(shape: Sequence[int]) -> tuple[int, int]:
    """The window and the stride for an image (height, width, ...), where no one says.

    >>> usual_window((224, 224, 3))
    (32, 8)
    """
    side = max(1, min(shape[:2]) // 7)
    return side, max(1, side // 4)


def usual_fill(network: "Network") -> str:
    """What hides a part of a picture where no one says: the training mean, gray if not known."""
    return "gray" if network.spec.mean_fill is None else "mean"


def fill_value(fill: str, network: "Network", pixels: np.ndarray) -> Any:
    """What hides the window, in normalized units: one value for each channel, or an image."""
    normalize = network.preprocessing.normalize
    if fill == "mean":
        return np.array(network.role("mean_fill"), np.float32)
    if fill == "blur":
        return normalize(
            by_images(lambda image: image.filter(ImageFilter.GaussianBlur(10)), pixels)
        )
    try:
        color = np.array(ImageColor.getrgb(fill)[:3], np.uint8)
    except (ValueError, OverflowError):  # the latter for rgb(300, 0, 0)
        raise InputError(f"fill: unknown {fill!r}; valid: {_FILLS}") from None
    samples = network.preprocessing.samples
    if samples is None:
        return normalize(color)
    if len(set(color.tolist())) > 1:
        raise InputError(
            f"fill: {fill!r} is a color, and the network takes other channels; "
            f"valid: {_PLAIN_FILLS}"
        )
    return normalize(np.repeat(color[:1], samples))
