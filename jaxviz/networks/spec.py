"""What a network expects and offers, and the checks of what is said of its layers."""

import dataclasses
from typing import Any

import numpy as np

from .._checks import InputError, choice, is_finite
from ..pictures.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """What a network expects and offers, besides its function; None is what is not known.

    `title` is its name as people write it.
    `first_layer` is the layer whose kernel reads the image, `middle_layer` the next that reads
    more than colors, `deep_layers` two to look for things in, `feature_layer` the one to compare
    images by, `logits` the layer of class scores.
    `mean_fill` is the training-set mean in normalized units, the usual fill of an occluder.
    """

    title: str
    preprocessing: Preprocessing | None = None
    first_layer: str | None = None
    middle_layer: str | None = None
    deep_layers: tuple[str, ...] | None = None
    feature_layer: str | None = None
    logits: str | None = None
    mean_fill: tuple[float, ...] | None = None

    @property
    def roles(self) -> dict[str, Any]:
        """The roles that are known, as `Network` takes them."""
        return {role: value for role in ROLES if (value := getattr(self, role)) is not None}


ROLES = tuple(field.name for field in dataclasses.fields(NetworkSpec))[2:]


def checked_roles(roles: dict[str, Any], preprocessing: Preprocessing | None) -> dict[str, Any]:
    """Roles as they may be: layers by name, and a fill of as many numbers as there are channels."""
    for role, value in roles.items():
        choice(role, "roles", ROLES)
        if value is None:
            continue
        if getattr(value, "ndim", 0) == 1:  # an array
            value = np.asarray(value).tolist()
        is_list = isinstance(value, list | tuple)
        parts = value if is_list else ()
        if role == "mean_fill":
            count = len(preprocessing.mean) if preprocessing else len(parts)
            if not is_list or len(parts) != count or not all(map(is_finite, parts)):
                raise InputError(
                    f"roles: mean_fill: expected {count or 'a list of'} numbers, got {value!r}"
                )
        elif role == "deep_layers":
            if not parts or not all(isinstance(one, str) for one in parts):
                raise InputError(f"roles: deep_layers: expected a list of layers, got {value!r}")
        elif not isinstance(value, str):
            raise InputError(f"roles: {role}: expected a layer's name, got {value!r}")
    return roles
