"""What JAX says where it cannot take a gradient, as a line for the user."""

import contextlib
from collections.abc import Iterator

from .._checks import InputError


@contextlib.contextmanager
def with_a_gradient() -> Iterator[None]:
    """Refuse a score in which JAX cannot take a gradient.

    >>> with with_a_gradient():
    ...     pass
    """
    try:
        yield
    except ValueError as error:
        if "Reverse-mode differentiation" not in str(error):
            raise
        raise InputError(f"score: has no gradient that JAX can take: {error}") from error
