"""Progress on standard error: bars for pictures and bytes, a spinner for the rest."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any


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
            if not task.speed:
                return ""
            return f"{task.speed:,.{0 if task.speed >= 10 else 1}f} images/s"

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
