"""Steps that several commands take: read pictures, show progress, write what came out."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import USUAL

if TYPE_CHECKING:
    from ..networks.network import Network
    from ..pictures.folders import Loaded
    from ..report.exhibit import Exhibit, Picture


def load_for(
    network: str | None,
    weights: Path | None,
    output: Path,
    save_arrays: bool,
    *,
    usual: str = USUAL,
) -> "Network":
    """Load a network, after making sure that its results may be written."""
    from .._checks import InputError
    from ..files import claim_file

    if output.suffix.lower() != ".png":
        raise InputError(f"output: expected a name that ends in .png, got {output}")
    claim_file(output)
    if save_arrays:
        claim_file(output.with_suffix(".npz"))
    return load_network(network, weights, usual=usual)


def load_network(network: str | None, weights: Path | None, *, usual: str = USUAL) -> "Network":
    """Load the network that is named, else the one that the weights are for, else the usual one."""
    from ..networks.loading import FULL, load
    from ..networks.weights_files import read_header

    if network is None and weights is not None and str(weights) != FULL:
        network = read_header(weights).metadata.get("network")
    return load(network or usual, weights=weights)


def read_picture(model: "Network", path: Path) -> "Picture":
    """Read one picture as the network gets it."""
    from ..pictures.decoding import decode
    from ..report.exhibit import Picture

    return Picture(path.stem, model.preprocessing.fit(decode(path)))


def read_pictures(model: "Network", folder: Path) -> "Loaded":
    """Read a folder's pictures and say which were skipped."""
    from ..pictures.folders import find_pictures, load_pictures

    paths = find_pictures([folder])
    loaded = load_pictures(track(paths, len(paths), "reading"), model.preprocessing)
    report_skipped(loaded.skipped)
    return loaded


def report_skipped(skipped: Sequence[Any]) -> None:
    """Say on standard error which pictures were left out, and why."""
    for one in skipped:
        print(f"skipped {one.path}: {one.reason}", file=sys.stderr)


def write_exhibits(
    output: Path,
    exhibits: "Sequence[Exhibit]",
    model: "Network",
    options: dict[str, Any],
    save_arrays: bool,
) -> None:
    """Write the figures, one above the other, as one PNG, and the arrays beside it."""
    from ..draw import stacked_png
    from ..files import write_arrays, write_whole
    from ..report.exhibit import provenance

    for exhibit in exhibits:
        say(exhibit)
    print(write_whole(output, stacked_png([exhibit.figure for exhibit in exhibits])))
    if save_arrays:
        arrays = {name: value for one in exhibits for name, value in one.arrays.items()}
        record = provenance(model, options)
        print(write_arrays(output.with_suffix(".npz"), arrays, record))


def say(exhibit: "Exhibit") -> None:
    """Print the numbers behind a figure."""
    for what, value in exhibit.facts:
        print(f"{what}: {value}")


def track(items: Iterable[Any], total: int, title: str) -> Iterator[Any]:
    """A progress bar on standard error, and none where that is no terminal."""
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    return iter(
        progress.track(
            items, title, total, console=console, transient=True, disable=not console.is_terminal
        )
    )


@contextlib.contextmanager
def counter(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with images/s and time left, to be called with (done, total).

    Nothing is shown where standard error is no terminal.
    """
    from rich import progress
    from rich.console import Console

    class Speed(progress.ProgressColumn):
        def render(self, task: progress.Task) -> str:
            return f"{task.speed:,.0f} images/s" if task.speed else ""

    console = Console(stderr=True)
    columns = (
        progress.TextColumn("{task.description}"), progress.BarColumn(),
        progress.MofNCompleteColumn(), Speed(), progress.TimeRemainingColumn(),
    )  # fmt: skip
    with progress.Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def byte_counter(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar with megabytes, speed and time left, to be called with (done, total).

    Nothing is shown where standard error is no terminal.
    """
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    columns = (
        progress.TextColumn("{task.description}"), progress.BarColumn(),
        progress.DownloadColumn(), progress.TransferSpeedColumn(), progress.TimeRemainingColumn(),
    )  # fmt: skip
    with progress.Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def status(title: str) -> Any:
    """A spinner on standard error for work that has no steps to count."""
    from rich.console import Console

    return Console(stderr=True).status(title)
