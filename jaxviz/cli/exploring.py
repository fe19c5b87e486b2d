"""The command that shows a network live in a browser."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .loading import load_network
from .options import NetworkName, Weights

_MOST = 500  # pictures, all of which are in memory


def explore(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Photographs, or folders of them.", show_default="the example photographs"
        ),
    ] = None,
    network: NetworkName = None,
    weights: Weights = None,
    classifier: Annotated[
        str,
        typer.Option(
            "--classifier",
            help="What names the pictures where the network has no classes.",
        ),
    ] = "squeezenet",
    patches: Annotated[
        Path | None,
        typer.Option(
            "--patches",
            help="The OUTPUT of `jaxviz patches`, whose patches are shown for the channels it has.",
            show_default="those of the pictures",
        ),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            "--features",
            help="The OUTPUT of `jaxviz features`, among whose pictures neighbors are found.",
            show_default="the pictures",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            help="The OUTPUT of `jaxviz imagine --all-channels`, whose images are shown for the "
            "channels it has.",
            show_default="made on demand",
        ),
    ] = None,
    camera: Annotated[
        bool, typer.Option("--camera", help="Begin with the camera; the browser asks first.")
    ] = False,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="Where to listen. Other machines can reach the page, by its whole address, if "
            "this is not the default.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=0, max=65535, help="0 is any that is free.",
            show_default="8377, or the next that is free",
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
) -> None:  # fmt: skip
    """Show a network live in a browser: its maps, patches, filters, and what matters to it.

    The page is for this computer alone: nothing is sent anywhere. Its address has a token that
    others cannot guess. Ctrl-C ends it. Needs: pip install "jaxviz-cnn[explore]".
    """
    from .._checks import InputError
    from ..pictures.folders import find_pictures
    from .loading import (
        classifier_for,
        loading_code,
        report_skipped,
        stored_features,
        stored_images,
        stored_patches,
    )

    try:
        from ..explore.running import serve
        from ..explore.session import Session
    except ImportError as error:
        raise InputError(
            f'explore: {error.name} is missing; pip install "jaxviz-cnn[explore]"'
        ) from None
    from ..report.tour import example_pictures

    model = load_network(network, weights)
    paths = find_pictures(pictures) if pictures else example_pictures()
    if len(paths) > _MOST:
        print(
            f"the first {_MOST} of {len(paths)} pictures; see --features for more", file=sys.stderr
        )
    stored = stored_features(model, features) if features else None
    listed = stored_patches(model, patches) if patches else []
    session = Session(
        model, classifier_for(model, classifier), paths[:_MOST], stored=stored, listed=listed,
        images=stored_images(model, images) if images else {},
        code={model.name: loading_code(model, network, weights)},
    )  # fmt: skip
    report_skipped(session.shelf.skipped, pictures or ())
    serve(session, host=host, port=port, browse=browser, camera=camera)
    # Python would wait for what still compiles, which takes seconds and cannot be interrupted.
    sys.stdout.flush()
    os._exit(0)
