"""Serve the explorer until it is ended, and open a browser on it."""

import contextlib
import errno
import functools
import socket
import webbrowser
from collections.abc import Callable

import uvicorn

from .._checks import InputError
from .guard import new_token
from .server import Server, application
from .session import Session

PORT = 8377  # where it is looked for first
_PRINTED = functools.partial(print, flush=True)  # a pipe or a file would keep it back


def serve(
    session: Session,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    browse: bool = True,
    camera: bool = False,
    say: Callable[[str], None] = _PRINTED,
) -> None:
    """Serve a session until Ctrl-C.

    Args:
        session: what is served.
        host: the address to listen at; other machines reach it if it is not of this one alone.
        port: where; 0 is any that is free. By default 8377, or the next that is free.
        browse: open the page in a browser.
        camera: begin with the camera.
        say: gets one line, whose last word is the page's whole address.

    Raises:
        InputError: the port is taken, or the address is none of this machine.
    """
    listening = _listening(host, port)
    number = listening.getsockname()[1]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    shown = f"[{shown}]" if ":" in shown else shown
    names = {shown, "127.0.0.1", "localhost", "[::1]", socket.gethostname().lower()}
    hosts = frozenset(f"{name}:{number}" for name in names)
    token = new_token()
    address = f"http://{shown}:{number}/{token}/{'#camera=on' if camera else ''}"
    endpoints = Server(session)
    config = uvicorn.Config(
        application(endpoints, hosts=hosts, token=token),
        log_level="warning", lifespan="on", timeout_graceful_shutdown=1, server_header=False,
    )  # fmt: skip
    server = _Listener(config, endpoints)
    say(f"exploring {session.network.spec.title} at {address}")
    if browse:
        webbrowser.open(address)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


class _Listener(uvicorn.Server):
    """Ends the answers that are under way before it waits for their connections."""

    def __init__(self, config: uvicorn.Config, endpoints: Server) -> None:
        super().__init__(config)
        self._endpoints = endpoints

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._endpoints.close()
        await super().shutdown(sockets)


def _listening(host: str, port: int | None) -> socket.socket:
    """A socket that listens; where no port is named, at the first one that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in [port] if port is not None else [*range(PORT, PORT + 20), 0]:
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((host, number))
            made.listen(128)
        except OSError as error:
            made.close()
            if error.errno != errno.EADDRINUSE or port is not None:
                raise InputError(f"{host}:{number}: {error.strerror}") from None
        except OverflowError as error:
            made.close()
            raise InputError(f"port: {error}") from None
        else:
            return made
    raise InputError(f"port: none is free at {host}")
