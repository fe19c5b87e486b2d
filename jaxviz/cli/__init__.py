"""The command line. Options mean the same everywhere; what they cost is imported when used."""

import sys
from typing import Annotated, Any

import typer

from . import many, weights_commands
from .many import neighbors, tour
from .single import activations, filters, occlude
from .startup import prepare
from .sweeps import features, pack, patches

app = typer.Typer(
    name="jaxviz",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="See what a convolutional network has learned.\n\n"
    "Start with **jaxviz tour**, which shows all six techniques on one page; the other commands "
    "show one technique each, on your own pictures. Each writes a PNG (`--output`) and, with "
    "`--save-arrays`, the raw numbers beside it as an npz.\n\n"
    "Compiled programs are kept in your cache folder, or in the one that JAXVIZ_CACHE names, so "
    "that the next command starts faster; JAX_ENABLE_COMPILATION_CACHE=false turns that off.",
)
app.add_typer(weights_commands.app, name="weights")
for command in (tour, filters, activations, occlude, neighbors, patches, features, pack):
    app.command()(command)
app.command()(many.map)


_INTERRUPTED = 130  # what typer makes of KeyboardInterrupt
_Mistake: Any = typer.BadParameter.__base__  # of usage, for which typer has no public name


def main() -> None:
    """Run the command line: a user's mistake is one line on standard error and exit code 2."""
    try:
        code = app(prog_name="jaxviz", standalone_mode=False)
    except _Mistake as error:
        if said := error.format_message():  # nothing where help was shown
            name = error.ctx.command_path if error.ctx else "jaxviz"
            said = f"{said[0].lower()}{said[1:].rstrip('.')}"
            print(f"jaxviz: {said}; see {name} --help", file=sys.stderr)
        code = 2
    except ValueError as error:
        from .._checks import InputError

        if not isinstance(error, InputError):
            raise
        print(f"jaxviz: {error}", file=sys.stderr)
        code = 2
    except OSError as error:  # what the file system refuses: a name too long, no permission
        print(f"jaxviz: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        code = 2
    if code == _INTERRUPTED:
        print(
            "jaxviz: interrupted; nothing was written half; the same command goes on with a sweep "
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
