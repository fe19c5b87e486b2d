"""What commands read before they compute: the network and the pictures."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .describing import given_description, given_head
from .options import USUAL
from .output import claim_output
from .progress import track

if TYPE_CHECKING:
    from ..networks.network import Network
    from ..pictures.sets import ArrayPictures


def load_for(
    network: str | None,
    weights: Path | None,
    output: Path,
    save_arrays: bool,
    *,
    usual: str = USUAL,
) -> "Network":
    """Load a network, after making sure that its results may be written."""
    claim_output(output, save_arrays=save_arrays)
    return load_network(network, weights, usual=usual)


def load_network(network: str | None, weights: Path | None, *, usual: str = USUAL) -> "Network":
    """Load the network that is named, else that of the weights or the head, else the usual one."""
    from ..networks.catalog import networks
    from ..networks.heads import load_head, with_head
    from ..networks.loading import FULL
    from ..networks.opening import open_network
    from ..networks.weights_files import read_header

    if network is None and weights is not None and str(weights) != FULL:
        network = read_header(weights).metadata.get("network")
    head = load_head(path) if (path := given_head()) else None
    if network is None and head and head.network in networks():
        network = head.network
    model = open_network(network or usual, weights=weights, described=given_description())
    return with_head(model, head) if head else model


def layers_of(model: "Network", asked: Sequence[str] | None) -> list[str]:
    """The layers that were asked for, each once; of one that is not there, say whose it is."""
    from .._checks import InputError, unknown
    from ..networks.catalog import networks_with_layer

    known = model.layers() if asked else {}
    for name in asked or ():
        if name not in known:
            others = networks_with_layer(name)
            apart = others and model.name not in others  # else its own weights are not complete
            hint = f"; {' and '.join(others)} has one of this name" if apart else ""
            note = getattr(model.apply, "note", "")
            said = f"layer: {unknown(name, list(known), most=80)}{hint}"
            raise InputError(f"{said}; {note}" if note else said)
    return list(dict.fromkeys(asked or ()))


def read_pictures(model: "Network", paths: Sequence[Path]) -> "ArrayPictures":
    """Read pictures into memory and say which were skipped."""
    from ..pictures.sets import load_pictures

    loaded = load_pictures(track(paths, len(paths), "reading"), model.preprocessing)
    report_skipped(loaded.skipped)
    return loaded


def report_skipped(skipped: Sequence[Any], places: Sequence[Path] = ()) -> None:
    """Say on standard error which pictures were left out, and why.

    Of the files in `places` that are no pictures by their names, say how many there are.
    """
    from ..pictures.folders import passed_over

    for one in skipped:
        print(f"skipped {one.path}: {one.reason}", file=sys.stderr)
    others = passed_over(places)
    if others:
        kinds = [f"{count} {kind or 'without suffix'}" for kind, count in others.most_common(5)]
        listed = ", ".join([*kinds, *(["..."] if len(others) > 5 else [])])
        print(f"passed over, no pictures by their names: {listed}", file=sys.stderr)
