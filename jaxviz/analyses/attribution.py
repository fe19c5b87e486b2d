"""What each pixel of a picture adds to a score, by several methods side by side."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, UInt8

from .._checks import InputError, choice, finite
from ..pictures.decoding import Source
from ..techniques.gradients.averaged import integrated_gradients, smooth_gradient
from ..techniques.gradients.grad_cam import grad_cam, guided_grad_cam
from ..techniques.gradients.plain import (
    deconvolution,
    gradient,
    gradient_times_input,
    guided_backpropagation,
)
from ..techniques.occlusion.mapping import occlusion_map
from .base import Picture, kind, normalized, number, picture_fields, read_pictures
from .occlusion import fill_value, usual_fill, usual_window
from .targets import find_target

if TYPE_CHECKING:
    from ..networks.network import Network

Form = Literal["signed", "magnitude", "picture"]


class _Options(NamedTuple):
    layer: str | None
    fill: Any
    key: Any


class _Method(NamedTuple):
    """How a method is called, and how what it gives is shown."""

    form: Form
    explain: Callable[..., Any]


def _with_layer(function: Callable[..., Any]) -> Callable[..., Any]:
    def explain(*run: Any, score: Any, options: _Options) -> Any:
        if options.layer is None:
            raise InputError("layer: the network names no deep layer; say one")
        return function(*run, score=score, layer=options.layer)

    return explain


def _without(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *run, score, options: function(*run, score=score)


def _smooth(*run: Any, score: Any, options: _Options) -> Any:
    return smooth_gradient(*run, score=score, key=options.key)


def _integrated(*run: Any, score: Any, options: _Options) -> Any:
    return integrated_gradients(*run, score=score, fill=options.fill)


def _occlusion(*run: Any, score: Any, options: _Options) -> Any:
    window, stride = usual_window(run[2].shape[1:])
    return occlusion_map(*run, score=score, fill=options.fill, window=window, stride=stride)


_METHODS: Mapping[str, _Method] = {
    "gradient": _Method("magnitude", _without(gradient)),
    "smooth-gradient": _Method("magnitude", _smooth),
    "gradient-times-input": _Method("signed", _without(gradient_times_input)),
    "integrated-gradients": _Method("signed", _integrated),
    "guided-backpropagation": _Method("picture", _without(guided_backpropagation)),
    "deconvolution": _Method("picture", _without(deconvolution)),
    "grad-cam": _Method("magnitude", _with_layer(grad_cam)),
    "guided-grad-cam": _Method("picture", _with_layer(guided_grad_cam)),
    "occlusion": _Method("signed", _occlusion),
}
METHODS = tuple(_METHODS)
FORMS: Mapping[str, Form] = {name: method.form for name, method in _METHODS.items()}


@kind("attribution")
class AttributionAnalysis(NamedTuple):
    """Heatmaps of each picture by each method.

    For each picture: its name and path, the sha256 of its file, its pixels as the network gets
    them, what the score is of, and the score. `layer` is where Grad-CAM looks, `fill` what
    integrated gradients begin with and occlusion hides with. `heatmaps` are those of the methods:
    of a form that is "signed", positive where a pixel raises the score; else without a sign.
    `colors` are the values of each pixel in red, green and blue, zero but for those of the form
    "picture". `left_out` are methods that this network has not, each with the reason;
    `completeness_errors` are those of integrated gradients, for each picture.
    """

    network: str
    pictures: tuple[str, ...]
    paths: tuple[str, ...]
    sha256: tuple[str, ...]
    pixels: UInt8[np.ndarray, "pictures height width 3"]
    targets: tuple[str, ...]
    baseline: Float[np.ndarray, " pictures"]
    score: str
    layer: str | None
    fill: str
    methods: tuple[str, ...]
    heatmaps: Float[np.ndarray, "pictures methods height width"]
    colors: Float[np.ndarray, "pictures methods height width 3"]
    left_out: tuple[tuple[str, str], ...]
    completeness_errors: tuple[float, ...] = ()

    @property
    def answers(self) -> list[str]:
        """For each picture what the score is of, and its value."""
        return [
            f"{name}, {self.score} {number(value)}"
            for name, value in zip(self.targets, self.baseline, strict=True)
        ]

    @property
    def facts(self) -> list[tuple[str, str]]:
        """For each picture its answer; which methods were left out, and why."""
        layer = [("Grad-CAM at", self.layer)] if self.layer else []
        missed = ", ".join(f"{error:.1%}" for error in self.completeness_errors)
        complete = [("integrated gradients miss", f"{missed} of the score")] if missed else []
        left_out = [(f"no {name}", reason) for name, reason in self.left_out]
        return [*zip(self.pictures, self.answers, strict=True), *layer, *complete, *left_out]

    @property
    def alt(self) -> str:
        """What the figure shows, in a sentence."""
        return f"{', '.join(self.pictures)}: each with its heatmap by {', '.join(self.methods)}."


def attribution(
    network: "Network",
    pictures: Sequence[Source | Picture],
    *,
    methods: Sequence[str] | None = None,
    targets: str | int | None = None,
    score: str = "logit",
    layer: str | None = None,
    fill: str | None = None,
    seed: int = 0,
    track: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> AttributionAnalysis:
    """Say by several methods which pixels of each picture matter for a score.

    Args:
        network: what `jaxviz.load` returns.
        pictures: paths, PIL images, uint8 arrays, or each a `Picture`.
        methods: names from `METHODS`; by default all that the network has. Occlusion's window is a
            seventh of the image, its stride a quarter of that.
        targets: a class by index or name, or "LAYER:CHANNEL", a feature map; by default each
            picture's most probable class.
        score: of a class: "logit", "log-probability" or "probability".
        layer: where Grad-CAM looks; by default the last of the network's deep layers.
        fill: what integrated gradients begin with and occlusion hides with, as for `occlusion`.
        seed: of the noise of the smooth gradient.
        track: hands the methods on one after the other, as a progress bar does.

    Raises:
        InputError: any of these is not as above, or the network has not a method that is named.

    >>> import jaxviz
    >>> network, gray = jaxviz.load("squeezenet"), np.full((300, 300, 3), 128, np.uint8)
    >>> found = attribution(network, [gray], methods=["gradient", "grad-cam"], targets="tabby")
    >>> found.heatmaps.shape, found.layer
    ((1, 2, 227, 227), 'fire9/concat')
    """
    for name in methods or ():
        choice(name, "method", METHODS)
    read = read_pictures(network, pictures)
    if not read:
        raise InputError("pictures: expected at least one, got none")
    fields = picture_fields(network, read)
    asked = [find_target(network, targets, one.pixels, score=score) for one in read]
    deep = network.spec.deep_layers
    layer = layer or (deep[-1] if deep else None)
    fill = fill or usual_fill(network)
    images = [normalized(network, one.pixels[None]) for one in read]
    options = [
        _Options(layer, fill_value(fill, network, one.pixels), jax.random.key(seed)) for one in read
    ]
    heatmaps: dict[str, list[np.ndarray]] = {}
    colors: dict[str, list[np.ndarray]] = {}
    left_out, baseline, errors = [], [], []
    channels = network.preprocessing.rgb_channels
    for name in track(list(methods or METHODS)):
        found = []
        try:
            for image, target, option in zip(images, asked, options, strict=True):
                run = network.apply, network.params, image
                found.append(_METHODS[name].explain(*run, score=target.score, options=option))
        except InputError as error:
            if methods:
                raise
            left_out.append((name, str(error)))
            continue
        heatmaps[name] = [np.asarray(finite(one.heatmap, "heatmap")[0]) for one in found]
        is_picture = FORMS[name] == "picture"
        colors[name] = [
            np.asarray(one.values[0])[..., channels] if is_picture else np.zeros((*flat.shape, 3))
            for one, flat in zip(found, heatmaps[name], strict=True)
        ]
        baseline = [float(one.baseline[0]) for one in found]
        if name == "integrated-gradients":
            errors = [float(one.completeness_error[0]) for one in found]
    if not heatmaps:
        raise InputError(f"method: {left_out[0][1]}")
    return AttributionAnalysis(
        network=network.spec.title,
        **fields,
        targets=tuple(one.name for one in asked),
        baseline=np.array(baseline, np.float32),
        score="sum of its map" if asked[0].class_index is None else score,
        layer=layer if any("cam" in name for name in heatmaps) else None,
        fill=fill,
        methods=tuple(heatmaps),
        heatmaps=np.stack([np.stack(one) for one in heatmaps.values()], axis=1),
        colors=np.stack([np.stack(one) for one in colors.values()], axis=1).astype(np.float32),
        left_out=tuple(left_out),
        completeness_errors=tuple(errors),
    )
