"""The command line; an option means the same in every command. JAX is imported only when needed."""

import sys
from typing import Annotated, Any

import typer

from . import folder_commands, network_commands, weights_commands
from .atlas_command import atlas
from .describing import describable
from .drawing import draw
from .exploring import explore
from .folder_commands import neighbors, tour
from .gradient_commands import attribute, compare
from .imagining import imagine
from .info_command import info
from .picture_commands import activations, filters, occlude
from .probing import probe
from .startup import prepare, print_any_name
from .sweep_commands import features, pack, patches

app = typer.Typer(
    name="jaxviz",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="See what a convolutional network has learned.\n\n"
    "Start with **jaxviz tour**, which shows all six techniques on one page; the other commands "
    "show one technique each, on your own pictures. Each writes a figure (`--output`: PNG, PDF or "
    "SVG) and, with `--save-arrays`, the raw numbers beside it as an npz, which **jaxviz draw** "
    "draws again.\n\n"
    "Compiled programs are kept in your cache folder, or in the one that JAXVIZ_CACHE names, so "
    "that the next command starts faster; JAX_ENABLE_COMPILATION_CACHE=false turns that off.",
)
app.add_typer(weights_commands.app, name="weights")
app.add_typer(network_commands.app, name="network")
for command in (
    tour, filters, activations, occlude, attribute, compare, neighbors, patches, imagine, probe,
    features, explore, atlas, folder_commands.map, network_commands.layers,
):  # fmt: skip
    app.command()(describable(command, takes_head=command is not probe))
app.command()(pack)
app.command()(draw)
app.command()(info)


_INTERRUPTED = 130  # the code that typer returns for KeyboardInterrupt
_UsageError: Any = typer.BadParameter.__base__  # typer has no public name for it


def main() -> None:
    """Run the command line: a user's mistake is one line on standard error and exit code 2.

    What nobody expects ends in its traceback, with a line that says how to report it.
    """
    print_any_name()
    try:
        code = app(prog_name="jaxviz", standalone_mode=False)
    except _UsageError as error:
        if message := error.format_message():  # empty where help was shown
            name = error.ctx.command_path if error.ctx else "jaxviz"
            message = f"{message[0].lower()}{message[1:].rstrip('.')}"
            print(f"jaxviz: {message}; see {name} --help", file=sys.stderr)
        code = 2
    except OSError as error:  # the file system refuses: a name too long, no permission
        print(f"jaxviz: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        code = 2
    except Exception as error:
        from .._checks import InputError

        if not isinstance(error, InputError):
            error.add_note(
                "jaxviz: this should not happen; please report it, with the lines above and what "
                "`jaxviz info` prints"
            )
            raise
        print(f"jaxviz: {error}", file=sys.stderr)
        code = 2
    if code == _INTERRUPTED:
        print(
            "jaxviz: interrupted; no file is half-written, and the same command continues a sweep "
            "or a download",
            file=sys.stderr,
        )
    raise SystemExit(code)


def _version(asked: bool) -> bool:
    if asked:
        from .. import __version__

        print(f"jaxviz {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    prepare()
