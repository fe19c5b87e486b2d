"""The explorer's server: addresses and limits; what it answers is made in `views`.

It answers only to its own address, and only below a token that no one can guess. Everything that a
page needs comes from here.
"""

import asyncio
import contextlib
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from .._checks import InputError
from ..draw import png, svg
from .guard import Guard, said
from .lanes import Dropped, Lanes, Work
from .query import Query
from .session import Session
from .views import VIEWS, classes_of, deepest, figure, maps_of
from .wire import Arrays, packed

STATIC = Path(__file__).parent / "static"
MOST_BYTES = 64 * 2**20  # of one upload
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css",
          ".svg": "image/svg+xml"}  # fmt: skip
_DRAWN = {"svg": (svg, "image/svg+xml"), "png": (png, "image/png")}


class Server:
    """The endpoints, around one session."""

    def __init__(self, session: Session) -> None:
        """Start the threads in which its views work."""
        self._session = session
        self._lanes = Lanes(("quick", "long", "making", "pictures"))

    @property
    def routes(self) -> list[Route]:
        """What is where."""
        return [
            Route("/", self._page),
            Route("/static/{name}", self._static),
            Route("/pictures/{picture}.png", self._picture),
            Route("/pictures", self._bring, methods=["POST"]),
            Route("/frame", self._frame, methods=["POST"]),
            Route("/views/{view}", self._view),
            Route("/arrays/{view}.npz", self._arrays),
            Route("/figures/{view}.{kind}", self._figure),
        ]

    async def warm(self) -> None:
        """Compile what a page asks for first, before it does."""
        with contextlib.suppress(Dropped, InputError):
            async for _ in self._lanes.run("long", "warming", self._warming):
                pass

    def _warming(self, check: Callable[[], None]) -> Iterator[None]:
        named = self._session.shelf.named
        if not named:
            return
        for name, layer in (("classes", ""), ("maps", deepest(self._session)), ("hidden", "")):
            query = Query({"picture": named[0].id, "layer": layer})
            answer = VIEWS[name].answer(self._session, query, check)
            for _ in [answer] if isinstance(answer, Arrays) else answer:
                check()
                yield None

    def close(self) -> None:
        """End what still works."""
        self._lanes.close()
        self._session.compiling.close()

    async def _page(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html", media_type="text/html")

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        kind = _KINDS.get(Path(name).suffix)
        if kind is None or name not in {path.name for path in STATIC.iterdir()}:
            raise HTTPException(404, "no such file")
        return FileResponse(STATIC / name, media_type=kind)

    async def _picture(self, request: Request) -> Response:
        key = request.path_params["picture"]

        def work(check: Callable[[], None]) -> Iterator[bytes]:
            pixels = self._session.shown(self._session.shelf[key])
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG", compress_level=1)
            yield file.getvalue()

        return Response(await self._single("pictures", work), media_type="image/png")

    async def _bring(self, request: Request) -> Response:
        data, name = await _body(request), request.query_params.get("name", "")

        def work(check: Callable[[], None]) -> Iterator[Any]:
            yield self._session.shelf.bring(data, name)

        one = await self._single("pictures", work)
        return JSONResponse({"id": one.id, "name": one.name})

    async def _single(self, lane: str, work: Work) -> Any:
        """The one answer of some work that no other request takes the place of."""
        (one,) = [one async for one in self._lanes.run(lane, object(), work)]
        return one

    async def _frame(self, request: Request) -> Response:
        """A picture of a camera: its classes and its maps, remembered nowhere."""
        data, query = await _body(request), Query(request.query_params)
        layer = query.text("layer")

        def work(check: Callable[[], None]) -> Iterator[Arrays]:
            shelved = self._session.shelf.fitted(data)
            answer = maps_of(self._session, shelved, layer)
            check()
            yield Arrays(
                {**answer.arrays, "pixels": self._session.shown(shelved)},
                {**answer.header, "classes": classes_of(self._session, shelved, 5)},
            )

        return await self._streamed(request, "quick", "frame", work)

    async def _view(self, request: Request) -> Response:
        lane, name, work = self._asked(request)
        return await self._streamed(request, lane, name, work)

    async def _arrays(self, request: Request) -> Response:
        """The arrays of a view in a file, when they are complete."""
        lane, name, work = self._asked(request)
        parts = [one async for one in self._lanes.run(lane, object(), work) if one.arrays]
        if not parts:
            raise InputError(f"{name}: has no arrays")
        file = io.BytesIO()
        told = np.array(json.dumps(dict(parts[-1].header)))
        np.savez_compressed(file, **parts[-1].arrays, jaxviz=told)
        told_name = self._named(name, Query(request.query_params))
        return _attached(file.getvalue(), f"{told_name}.npz", "application/octet-stream")

    async def _figure(self, request: Request) -> Response:
        """The figure of a view in a file."""
        name, kind = request.path_params["view"], request.path_params["kind"]
        query = Query(request.query_params)
        if kind not in _DRAWN:
            raise HTTPException(404, "no such kind of figure")
        draw, media_type = _DRAWN[kind]

        def work(check: Callable[[], None]) -> Iterator[bytes]:
            yield draw(figure(self._session, name, query, check))

        data = await self._single("long", work)
        return _attached(data, f"{self._named(name, query)}.{kind}", media_type)

    def _named(self, view: str, query: Query) -> str:
        """What a file of a view is called: the network, the layer, the channel and the view."""
        asked = [query.text("layer", ""), query.text("channel", "")]
        parts = [self._session.network.name, *filter(None, asked), view]
        return re.sub(r"[^\w.-]+", "_", "-".join(parts), flags=re.ASCII)[:120]

    def _asked(self, request: Request) -> tuple[str, str, Work]:
        """The lane and the name of the view that is asked for, and its work."""
        name, query = request.path_params["view"], Query(request.query_params)
        if name not in VIEWS:
            raise HTTPException(404, "no such view")
        view = VIEWS[name]

        def work(check: Callable[[], None]) -> Iterator[Arrays]:
            answer = view.answer(self._session, query, check)
            return iter([answer]) if isinstance(answer, Arrays) else answer

        return view.lane, name, work

    async def _streamed(self, request: Request, lane: str, name: str, work: Any) -> Response:
        """The parts of an answer as they come, each after its length; a mistake as JSON.

        A newer request of the same view, from the same place of the same page, ends this one.
        """
        place = name, request.query_params.get("page", ""), request.query_params.get("slot", "")
        parts = self._lanes.run(lane, place, work)
        first = await anext(parts, None)  # what goes wrong at once has a status of its own

        async def body() -> AsyncIterator[bytes]:
            part = first
            try:
                while part is not None:
                    yield _framed(part)
                    part = await anext(parts, None)
            except (Dropped, InputError) as error:
                yield _framed(Arrays({}, {"error": str(error) or "dropped"}))
            except Exception as error:
                yield _framed(Arrays({}, {"error": _failed(error)}))
            finally:
                await parts.aclose()

        return StreamingResponse(body(), media_type="application/octet-stream")


def _attached(data: bytes, name: str, kind: str) -> Response:
    """A file to be saved."""
    named = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, headers=named, media_type=kind)


def _failed(error: Exception) -> str:
    return f"this computation failed: {type(error).__name__}"


def _framed(part: Arrays) -> bytes:
    """A part of an answer, after its length."""
    data = packed(part)
    return len(data).to_bytes(4, "little") + data


async def _body(request: Request) -> bytes:
    """The body of a request, if it is not too large; one that says so is not read at all."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MOST_BYTES:
        raise HTTPException(413, f"picture: more than {MOST_BYTES // 2**20} MB")
    data = bytearray()
    try:
        async for part in request.stream():
            data += part
            if len(data) > MOST_BYTES:
                raise HTTPException(413, f"picture: more than {MOST_BYTES // 2**20} MB")
    except ClientDisconnect:
        raise Dropped from None
    return bytes(data)


def application(server: Server, *, hosts: frozenset[str], token: str) -> Guard:
    """The server as an ASGI application, below its token."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(server.warm())
        yield
        warming.cancel()

    async def mistake(request: Request, error: Exception) -> Response:
        return said(str(error), 400)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return said(error.detail, error.status_code)

    async def dropped(request: Request, error: Exception) -> Response:
        return said("dropped", 409)

    async def crashed(request: Request, error: Exception) -> Response:
        return said(_failed(error), 500)

    app = Starlette(
        routes=server.routes,
        lifespan=lifespan,
        exception_handlers={
            InputError: mistake, HTTPException: refused, Dropped: dropped, Exception: crashed,
        },
    )  # fmt: skip
    app.router.redirect_slashes = False  # it would lose the token
    return Guard(app, hosts=hosts, token=token)
