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
    from ..sweep import ChannelImages, Features


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


def loading_code(model: "Network", network: str | None, weights: Path | None) -> str:
    """The Python that loads the same; of files it has the names, and not where they are."""
    from ..networks.catalog import networks

    described = dict(given_description())
    if "labels" in described:
        described["labels"] = Path(described["labels"]).name
    options = {"weights": weights and weights.name, "described": described}
    named = network is None or network in networks()
    opened = "load" if named else "open_network"
    text = model.name if named else Path(str(network)).name
    arguments = [repr(text), *(f"{name}={value!r}" for name, value in options.items() if value)]
    code = f"jaxviz.{opened}({', '.join(arguments)})"
    head = given_head()
    return f"jaxviz.with_head({code}, jaxviz.load_head({head.name!r}))" if head else code


def classifier_for(model: "Network", usual: str) -> "Network | None":
    """What names a network's pictures: itself if it has classes, else the usual one if it fits."""
    from ..networks.loading import load

    if model.spec.logits:
        return model
    usual_one = load(usual)
    fits = usual_one.preprocessing.samples == model.preprocessing.samples
    return usual_one if fits else None


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


def stored_features(model: "Network", folder: Path) -> "Features":
    """The OUTPUT of `jaxviz features`, of this network."""
    from ..sweep import load_features

    features = load_features(folder)
    made_by = features.manifest["provenance"].get("network", model.name)
    _expect_made_by(model, made_by, f"{folder}: features")
    return features


def stored_patches(model: "Network", folder: Path) -> list[dict[str, Any]]:
    """The patches that the OUTPUT of `jaxviz patches` lists, of this network."""
    from .._checks import InputError
    from ..files import complete_manifest

    manifest = complete_manifest(folder, "top patches")
    kinds = {"layer": str, "channel": int, "image": str, "value": float, "row": int, "col": int}
    try:
        made_by = manifest["provenance"]["network"]
        found = [
            {key: kind(one[key]) for key, kind in kinds.items()} for one in manifest["patches"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{folder}: its list of patches is damaged ({error!r})") from None
    _expect_made_by(model, made_by, f"{folder}: patches")
    return found


def stored_images(model: "Network", folder: Path) -> dict[str, "ChannelImages"]:
    """By layer the images in the OUTPUT of `jaxviz imagine --all-channels`, of this network."""
    from .._checks import InputError
    from ..files import read_manifest
    from ..sweep import load_feature_images

    places = [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]
    found: dict[str, ChannelImages] = {}
    for place in places:
        manifest = read_manifest(place)
        if manifest.get("kind") != "feature images":
            continue
        found |= load_feature_images(place)
        made_by = manifest.get("provenance", {}).get("network", model.name)
        _expect_made_by(model, made_by, f"{place}: images")
    if not found:
        raise InputError(
            f"{folder}: holds no images; make some with: jaxviz imagine --all-channels -o {folder}"
        )
    shape = tuple(model.preprocessing.fitted_shape)
    if any(one.images.shape[1:] != shape for one in found.values()):
        raise InputError(f"{folder}: images of another size than {model.name} takes")
    return found


def _expect_made_by(model: "Network", made_by: str, what: str) -> None:
    """Refuse what another network made."""
    from .._checks import InputError

    if made_by != model.name:
        raise InputError(f"{what} of {made_by}, not of {model.name}; see --network")


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
