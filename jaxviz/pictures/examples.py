"""The example photographs that come with jaxviz."""

from pathlib import Path


def example_folder() -> Path:
    """The folder of the example photographs; each of its sub-folders is a kind, such as `cat`.

    It lies inside the package when that is installed, and beside it in a clone. `SOURCES.md` in it
    names the photographers and the licenses.

    >>> (example_folder() / "cat" / "chelsea.png").is_file()
    True
    """
    package = Path(__file__).resolve().parents[1]
    inside = package / "examples"
    return inside if inside.is_dir() else package.parent / "examples" / "images"
