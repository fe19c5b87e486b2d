"""What hiding a part of a picture does to a score: everywhere, or one box by hand."""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ... import analyses
from ..._checks import InputError
from ...analyses.occlusion import fill_value
from ...networks.network import Network
from ...techniques.occlusion.problem import window_starts
from ...techniques.occlusion.progressive import progressive_occlusion
from ..query import Query
from ..session import Session, kind_of
from ..shelf import Shelved
from ..wire import Arrays
from .base import Check, picture_of, view
from .pictures import classes_of

_SCORE = "log-probability"


class _Hiding(NamedTuple):
    """What minds that a part of a picture is hidden, and what is there instead.

    The target is a class, a map or a unit of the network.
    """

    network: Network
    target: str | None
    fill: str
    score: str

    @classmethod
    def of(cls, session: Session, query: Query) -> "_Hiding":
        target = query.text("target", "")
        network = session.network if ":" in target else session.classifier
        if network is None:
            raise InputError(f"classes: {session.network.spec.title} has none")
        fill = query.text("fill", analyses.usual_fill(network))
        return cls(network, target or None, fill, query.text("score", _SCORE))


class OcclusionQuery(NamedTuple):
    """What is asked of occlusion: how much a score minds what is hidden of a picture."""

    network: Network
    target: str | None
    window: int
    stride: int
    fill: str
    score: str

    @classmethod
    def of(cls, session: Session, query: Query) -> "OcclusionQuery":
        """Read and check it."""
        network, target, fill, score = _Hiding.of(session, query)
        sides = picture_of(session, query).pixels[network.name].shape[:2]
        window = query.number("window", 32, least=1, most=min(sides))
        stride = query.number("stride", 8, least=1, most=window)
        return cls(network, target, window, stride, fill, score)


@view("long")
def hidden(session: Session, query: Query, check: Check) -> Iterator[Arrays]:
    """What hiding a part of a picture did to a score: coarse at first, then finer and finer.

    At last how much arithmetic that took of what whole passes take.
    """
    asked, target, window, stride, fill, score = OcclusionQuery.of(session, query)
    shelved = picture_of(session, query)
    pixels = shelved.pixels[asked.name]
    found = session.target(asked, shelved, target, score)
    values = fill_value(fill, asked, pixels)
    levels = functools.partial(
        progressive_occlusion, asked.apply, asked.params,
        asked.preprocessing.normalize(pixels[None]), score=found.score, window=window,
        stride=stride, fill=values,
    )  # fmt: skip
    what = asked.name, kind_of(found), window, stride, np.shape(values)
    maps = levels(method=session.compiling.method(what, levels, lambda one: one[0][0] == stride))
    header: dict[str, Any] = {"target": found.name, "unit": found.unit, "window": window}
    is_finest = False
    try:
        for steps, one in maps:
            check()
            is_finest = steps[0] == stride
            baseline = float(one.baseline[0])
            rows, cols = (window_starts(pixels.shape[i], window, steps[i]) for i in (0, 1))
            yield Arrays(
                {
                    "drop": np.asarray(baseline - one.scores[0], np.float32),
                    "heatmap": np.asarray(one.heatmap[0], np.float32), "rows": rows, "cols": cols,
                },
                {**header, "baseline": baseline, "stride": steps[0], "finest": is_finest},
            )  # fmt: skip
        yield Arrays({}, {"share": session.occlusion_share(asked, found, window, stride)})
    finally:
        if not is_finest:
            session.compiling.give_up(what)


@view("quick")
def covered(session: Session, query: Query, check: Check) -> Arrays:
    """A picture with a box hidden: its pixels, its score and its classes."""
    asked, target, fill, score = _Hiding.of(session, query)
    shelved = picture_of(session, query)
    pixels = shelved.pixels[asked.name]
    height, width = pixels.shape[:2]
    top, bottom = (query.number(name, most=height) for name in ("top", "bottom"))
    left, right = (query.number(name, most=width) for name in ("left", "right"))
    if top >= bottom or left >= right:
        raise InputError("box: expected top < bottom and left < right")
    values = np.asarray(fill_value(fill, asked, pixels))
    patch = pixels.copy()
    drawn = np.broadcast_to(asked.preprocessing.denormalize(values), pixels.shape)
    patch[top:bottom, left:right] = drawn[top:bottom, left:right]
    found = session.target(asked, shelved, target, score)
    before, after = (session.score(asked, found.score, one) for one in (pixels, patch))
    header: dict[str, Any] = {"target": found.name, "before": before, "after": after}
    if asked is session.classifier:
        header["classes"] = classes_of(session, Shelved("", "", {asked.name: patch}), 5)
    return Arrays({"pixels": analyses.shown(asked, patch)}, header)
