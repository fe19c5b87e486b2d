"""Layers of tokens, such as a vision transformer has, as maps: each token at its patch's place."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .._checks import InputError
from .._typing import Outputs, Params
from .network import Network, replaced
from .wrapped import Wrapped

ENDING = "/grid"
_MOST_OTHERS = 8  # tokens before those of the patches: one for the class, and registers


class TokenGrid(NamedTuple):
    """How the tokens of a layer lie on the image: `rows` of `cols`, after `others` without place.

    `is_attention` says that the layer's axes are (heads, query, key), not (tokens, channels).
    """

    rows: int
    cols: int
    others: int
    is_attention: bool

    def maps(self, values: Any) -> Any:
        """Values of the layer as maps (batch, rows, cols, channels), or (batch, rows, cols, heads).

        Of attention it is how much each place is looked at: by the first token where there are
        others, else by all on average.
        """
        if self.is_attention:
            by = values[:, :, 0] if self.others else values.mean(axis=2)  # (batch, heads, key)
            values = by.swapaxes(1, 2)
        placed = values[:, self.others :]
        if placed.shape[1] != self.rows * self.cols:
            raise InputError(
                f"tokens: expected {self.rows} x {self.cols} and {self.others} others, got "
                f"{values.shape[1]}; images of another shape need with_token_maps of their own"
            )
        return placed.reshape(len(values), self.rows, self.cols, placed.shape[2])


def token_grids(shapes: Mapping[str, Sequence[int]]) -> dict[str, TokenGrid]:
    """Of the layers with these shapes, in the order the data flows, those of tokens and their grid.

    The tokens are as many as a map before has places, and perhaps some more; or, where no map comes
    before, as many as a square has, and perhaps one more. Attention is of as many tokens as some
    layer of tokens has.

    >>> found = token_grids({"patches": (2, 3, 8), "tokens": (7, 8), "attention": (4, 7, 7)})
    >>> found["tokens"]
    TokenGrid(rows=2, cols=3, others=1, is_attention=False)
    >>> found["attention"]
    TokenGrid(rows=2, cols=3, others=1, is_attention=True)
    """
    lengths = {shape[0] for shape in shapes.values() if len(shape) == 2}
    found: dict[str, TokenGrid] = {}
    sides: list[tuple[int, int]] = []
    for name, shape in shapes.items():
        is_attention = len(shape) == 3 and shape[1] == shape[2] and shape[1] in lengths
        if len(shape) == 2 or is_attention:
            grid = _grid(shape[-2], sides)
            if grid:
                found[name] = TokenGrid(*grid, is_attention)
                continue
        if len(shape) == 3 and shape[0] > 1 < shape[1]:
            sides.append((shape[0], shape[1]))
    return found


def _grid(tokens: int, sides: Sequence[tuple[int, int]]) -> tuple[int, int, int] | None:
    """Rows, columns and other tokens; `sides` are those of the maps before."""
    for rows, cols in reversed(sides):
        if 0 <= tokens - rows * cols <= _MOST_OTHERS:
            return rows, cols, tokens - rows * cols
    for others in () if sides else (0, 1):
        side = math.isqrt(max(tokens - others, 0))
        if side > 1 and side**2 == tokens - others:
            return side, side, others
    return None


class _WithMaps(Wrapped):
    """The function of a network, with a map behind each layer of tokens."""

    def __init__(
        self, network: Network, grids: Mapping[str, TokenGrid], shape: Sequence[int] | None
    ) -> None:
        super().__init__(network)
        self._grids, self._shape = grids, shape

    def __call__(self, params: Params, images: Any) -> Outputs:
        if self._shape is not None and tuple(images.shape[1:]) != tuple(self._shape):
            raise InputError(
                f"images: their tokens were placed for {tuple(self._shape)}, got "
                f"{tuple(images.shape[1:])}; such images need with_token_maps of their own"
            )
        outputs = {}
        for name, values in self._network.apply(params, images).items():
            outputs[name] = values
            if name in self._grids:
                outputs[name + ENDING] = self._grids[name].maps(values)
        return outputs


def with_token_maps(network: Network, image_shape: Sequence[int] | None = None) -> Network:
    """The network with a layer LAYER/grid behind each LAYER of tokens, which shows them as maps.

    LAYER is (batch, tokens, channels), LAYER/grid (batch, rows, cols, channels) without the tokens
    that belong to no patch, such as that of the class. Of attention (batch, heads, query, key) it
    is (batch, rows, cols, heads): how much each place is looked at by the class token, or by all
    tokens on average where there is none. So whatever works on maps works on tokens: activations,
    patches, `feature_map`, Grad-CAM. A network without such layers is returned as it is.

    Args:
        network: any.
        image_shape: (height, width, channel); by default that of the preprocessing.

    Raises:
        InputError: the shape is not known.

    >>> import jax.numpy as jnp
    >>> def apply(params, images):
    ...     patches = images[:, ::4, ::4]
    ...     return {"patches": patches, "tokens": patches.reshape(len(images), -1, 3) @ params}
    >>> with_token_maps(Network(apply, jnp.ones((3, 5))), (8, 12, 3)).layers((8, 12, 3))
    {'patches': (2, 3, 3), 'tokens': (6, 5), 'tokens/grid': (2, 3, 5)}
    """
    shape = None if image_shape is None else tuple(image_shape)
    if shape is None and network.spec.preprocessing is not None:
        shape = network.spec.preprocessing.input_shape
    shapes = network.layers(shape)
    grids = {
        name: grid for name, grid in token_grids(shapes).items() if name + ENDING not in shapes
    }
    if not grids:
        return network
    placed = [name + ENDING for name, grid in grids.items() if not grid.is_attention]
    deep = (*(network.spec.deep_layers or ()), *placed[-1:])
    roles = {**network.spec.roles, "deep_layers": deep or None}
    return replaced(network, apply=_WithMaps(network, grids, shape), roles=roles)
