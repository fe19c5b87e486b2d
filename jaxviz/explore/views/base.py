"""What all views share: their table, and how they find their pictures and layers."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..query import Query
from ..session import Session
from ..shelf import Shelved
from ..wire import Arrays

Check = Callable[[], None]
Answer = Arrays | Iterator[Arrays]


class View(NamedTuple):
    """What answers, and in which lane: "quick", "long" for seconds, "making" for many."""

    answer: Callable[[Session, Query, Check], Answer]
    lane: str


VIEWS: dict[str, View] = {}


def view(lane: str) -> Callable[[Any], Any]:
    """Add a function to the views, under its name."""

    def add(answer: Any) -> Any:
        VIEWS[answer.__name__] = View(answer, lane)
        return answer

    return add


def picture_of(session: Session, query: Query) -> Shelved:
    """The picture that is asked about."""
    return session.shelf[query.text("picture")]


def channel_of(session: Session, query: Query) -> tuple[str, int]:
    """The layer and the channel that are asked about."""
    layer = query.text("layer")
    return layer, query.number("channel", most=session.layer(layer).shape[-1] - 1)
