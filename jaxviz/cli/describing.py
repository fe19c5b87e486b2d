"""Options that every command with a network has: a head of one's own, and what a file leaves out.

Those that say how pictures become images `jaxviz network describe` writes down once for all.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

_described: dict[str, Any] = {}  # what the command that runs was told
_head: list[Path] = []  # the one that it was given


def _numbers(text: str) -> tuple[float, ...]:
    """Read numbers with commas between them."""
    try:
        return tuple(float(part) for part in str(text).split(","))
    except ValueError:
        raise typer.BadParameter(f"expected numbers such as 0.5,0.5,0.5, got {text!r}") from None


def _option(name: str, help_text: str, **more: Any) -> Any:
    more = {"show_default": False, "rich_help_panel": "A network that is not ours", **more}
    return typer.Option(name, help=help_text, **more)


def _list_option(name: str, help_text: str) -> Any:
    return _option(name, help_text, parser=_numbers, metavar="NUMBER,...")


DESCRIPTION: Mapping[str, Any] = {
    "range": Annotated[
        Any, _list_option("--range", "What black and white become: `0,1` or `0,255` or `-1,1`.")
    ],
    "size": Annotated[
        int | None, _option("--size", "Height and width.", min=1, show_default="the file's")
    ],
    "resize": Annotated[
        int | None,
        _option(
            "--resize", "What a picture's shorter side is resized to, before SIZE is cut out.",
            min=1, show_default="SIZE * 256 / 224",
        ),
    ],
    "mean": Annotated[Any, _list_option("--mean", "What is subtracted, after --range.")],
    "std": Annotated[Any, _list_option("--std", "What that is divided by.")],
    "channel_order": Annotated[
        str | None,
        _option(
            "--channel-order",
            "`RGB`, `BGR`, `gray`, or a capital letter for each channel, such as `BGRN`.",
            show_default="RGB",
        ),
    ],
    "labels": Annotated[Path | None, _option("--labels", "A text file, one class a line.")],
}  # fmt: skip


HEAD = Annotated[
    Path | None,
    typer.Option(
        "--head",
        help="What `jaxviz probe --save` wrote: your own classes take the place of the network's.",
        show_default=False,
    ),
]


def describable(command: Callable[..., Any], *, takes_head: bool = True) -> Callable[..., Any]:
    """The command with `--head`, if it takes one, and the options of `DESCRIPTION`.

    `given_head` and `given_description` then return what it was told. A command that has labels of
    its own, those of pictures, keeps them.
    """
    own = inspect.signature(command)
    names = {key: f"described_{key}" for key in DESCRIPTION if key not in own.parameters}

    @functools.wraps(command)
    def run(**arguments: Any) -> Any:
        _described.clear()
        _head[:] = [one] if (one := arguments.pop("head_file", None)) else []
        for key, name in names.items():
            value = arguments.pop(name)
            if value is not None:
                _described[key] = str(value.absolute()) if key == "labels" else value
        return command(**arguments)

    head = {"head_file": HEAD} if takes_head else {}
    options = head | {name: DESCRIPTION[key] for key, name in names.items()}
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in options.items()
    ]
    run.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*own.parameters.values(), *added]
    )
    return run


def given_description() -> dict[str, Any]:
    """What the command that runs was told of its network, by the keys of a description's file."""
    return dict(_described)


def given_head() -> Path | None:
    """The head that the command that runs was given."""
    return _head[0] if _head else None
