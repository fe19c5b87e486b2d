"""What every heatmap must beat, and parameters that know nothing."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._blur import blurred
from ..._checks import InputError, image_batch, image_type, random_key
from ..._checks import image_shape as checked_shape
from ..._contract import outputs_of
from ..._statistics import correlation, mid_places
from ..._typing import Apply, Images, Params
from ...jaxpr.recording import record
from ...jaxpr.tape import Tape
from .judging import as_ranks

_BLOB = 5  # a side is so many times as long as the blob's standard deviation


def control_heatmaps(images: Images, *, key: Any) -> dict[str, Any]:
    """Heatmaps that ask no network: {name: (batch, height, width)}.

    "random" is noise from the key, each pixel by itself; "center" a Gaussian blob in the middle,
    where photographs have what they are about; "edges" the magnitude of the slope of the brightness
    (Sobel), blurred by two pixels.

    >>> found = control_heatmaps(np.ones((2, 5, 5, 3), np.float32), key=jax.random.key(0))
    >>> {name: heatmap.shape for name, heatmap in found.items()}
    {'random': (2, 5, 5), 'center': (2, 5, 5), 'edges': (2, 5, 5)}
    """
    images = jnp.asarray(image_batch(images))
    random_key(key)
    batch, height, width, _ = images.shape
    rows, cols = (
        np.exp(-0.5 * ((np.arange(length) - (length - 1) / 2) / (length / _BLOB)) ** 2)
        for length in (height, width)
    )
    blob = jnp.asarray(rows[:, None] * cols[None], images.dtype)
    return {
        "random": jax.random.uniform(key, (batch, height, width), images.dtype),
        "center": jnp.broadcast_to(blob[None], (batch, height, width)),
        "edges": blurred(_slope(images)[..., None], 2.0)[..., 0],
    }


def _slope(images: Any) -> Any:
    gray = jnp.pad(images.mean(axis=3), ((0, 0), (1, 1), (1, 1)), mode="edge")
    smooth_rows = gray[:, :-2] + 2 * gray[:, 1:-1] + gray[:, 2:]
    smooth_cols = gray[:, :, :-2] + 2 * gray[:, :, 1:-1] + gray[:, :, 2:]
    across = smooth_rows[:, :, 2:] - smooth_rows[:, :, :-2]
    down = smooth_cols[:, 2:] - smooth_cols[:, :-2]
    return jnp.sqrt(across**2 + down**2)


class Randomized(NamedTuple):
    """Parameters of which some are shuffled; `name` is the branch that was shuffled last."""

    name: str
    params: Any


def cascading_randomization(
    apply: Apply, params: Params, image_shape: Sequence[int], *, key: Any
) -> Iterator[Randomized]:
    """Shuffle the parameters branch by branch, the last one first (Adebayo et al. 2018, section 3).

    A branch holds the arrays of one layer, such as its kernel and bias. The order in which the data
    meet them is read from the network's jaxpr. Where the paper draws new numbers, those of an array
    come in another order here, so one of equal numbers stays. A heatmap that stays the same all the
    way says nothing about the network.

    >>> def apply(params, images):
    ...     hidden = images * params["first"]["scale"]
    ...     return {"out": hidden.sum((1, 2)) @ params["last"]["kernel"]}
    >>> params = {"first": {"scale": jnp.arange(3.0)}, "last": {"kernel": jnp.ones((3, 2))}}
    >>> [one.name for one in cascading_randomization(apply, params, (4, 4, 3),
    ...                                              key=jax.random.key(0))]
    ['last', 'first']
    """
    random_key(key)
    shape = checked_shape(image_shape)
    return _cascade(apply, params, shape, key)


def _cascade(
    apply: Apply, params: Params, shape: tuple[int, ...], key: Any
) -> Iterator[Randomized]:
    images = jax.ShapeDtypeStruct((1, *shape), image_type(params))
    recording = record(lambda params, images: outputs_of(apply, params, images), params, images)
    tape = recording.tape
    first_use = _meetings(tape)
    paths = jax.tree_util.tree_leaves_with_path(params)
    slots = tape.inputs[len(recording.constants) :]
    met: dict[str, int] = {}
    branch: list[str] = []
    for (path, _), slot in zip(paths, slots, strict=False):
        name = jax.tree_util.keystr(path[:-1] or path, simple=True, separator="/")
        branch.append(name)
        if slot in first_use:
            met[name] = min(met.get(name, len(tape.steps)), first_use[slot])
    leaves, tree = jax.tree.flatten(params)
    shuffled = jax.tree.leaves(shuffled_params(params, key))
    for name in sorted(met, key=lambda name: -met[name]):
        leaves = [
            new if own == name else leaf
            for leaf, new, own in zip(leaves, shuffled, branch, strict=True)
        ]
        yield Randomized(name, jax.tree.unflatten(tree, leaves))


def _meetings(tape: Tape) -> dict[int, int]:
    """The step in which each input of a tape first meets the last one, the images, by its slot.

    What is computed of inputs alone, such as a kernel of unit norm, stands for all of them.
    """
    data = {tape.inputs[-1]}
    made_of = {slot: {slot} for slot in tape.inputs[:-1]}
    found: dict[int, int] = {}
    for number, step in enumerate(tape.steps):
        inputs = [slot for slot in step.inputs if isinstance(slot, int)]
        sources = {source for slot in inputs for source in made_of.get(slot, ())}
        if data.isdisjoint(inputs):
            made_of |= dict.fromkeys(step.outputs, sources)
            continue
        data.update(step.outputs)
        for slot in sources:
            found.setdefault(slot, number)
    return found


def shuffled_params(params: Params, key: Any) -> Params:
    """Parameters of which the numbers of each floating-point array are in another order.

    >>> sorted(shuffled_params({"a": jnp.arange(3.0)}, jax.random.key(0))["a"].tolist())
    [0.0, 1.0, 2.0]
    """
    leaves, tree = jax.tree.flatten(params)

    def shuffled(leaf: Any, place: int) -> Any:
        if not jnp.issubdtype(getattr(leaf, "dtype", np.int32), jnp.floating):
            return leaf
        own = jax.random.fold_in(key, place)
        return jax.random.permutation(own, jnp.ravel(leaf)).reshape(jnp.shape(leaf))

    return jax.tree.unflatten(tree, [shuffled(leaf, i) for i, leaf in enumerate(leaves)])


def rank_correlation(one: Any, other: Any) -> Any:
    """Spearman's correlation of two heatmaps (batch, height, width) of each image: (batch,).

    It is NaN where either is the same everywhere.

    >>> float(rank_correlation(jnp.array([[[1.0, 2.0, 9.0]]]), jnp.array([[[2.0, 4.0, 5.0]]]))[0])
    1.0
    """
    if jnp.ndim(one) != 3 or jnp.shape(one) != jnp.shape(other):
        raise InputError(
            f"rank_correlation: expected two of one shape (batch, height, width), got "
            f"{jnp.shape(one)} and {jnp.shape(other)}"
        )
    both = [as_ranks(x, jnp.shape(one)) for x in (one, other)]
    return correlation(*(_ranks(jnp.reshape(x, (len(x), -1))) for x in both))


def _ranks(values: Any) -> Any:
    """The ranks of the numbers of each row, from a half; equal ones have the mean of theirs."""
    return mid_places(jnp.sort(values, axis=1), values)
