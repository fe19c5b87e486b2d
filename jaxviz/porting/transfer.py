"""Fetching one file over HTTP: an interrupted download is resumed if the file is still the same.

The bytes received so far are in FILE.part. A note beside it says which version of the file they
belong to, and how many bytes the whole file has.
"""

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .. import __version__
from .._checks import InputError
from ..files import write_whole, writing

Progress = Callable[[int, int | None], None]

_TIMEOUT = 30.0  # seconds without a byte
_PIECE = 2**18


class Interrupted(Exception):  # noqa: N818
    """The connection broke, or there was none; `final` if trying again is no use."""

    def __init__(self, reason: object, *, final: bool = False) -> None:
        super().__init__(" ".join(str(reason).split()))
        self.final = final


class Part(NamedTuple):
    """The beginning of a file, and the note of its version."""

    path: Path

    @property
    def note(self) -> Path:
        """Where the note lies."""
        return self.path.with_name(f"{self.path.name}.json")

    def size(self) -> int:
        """How many bytes are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def known(self) -> tuple[str, int | None]:
        """The version, empty if it has no name, and the number of bytes of the whole."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            return str(note["version"]), None if note["total"] is None else int(note["total"])
        except (OSError, ValueError, KeyError, TypeError):
            return "", None

    def whole(self) -> bool:
        """Whether all bytes are there."""
        return self.size() > 0 and self.size() == self.known()[1]

    def write_note(self, version: str, total: int | None) -> None:
        """Write the note, whole or not at all."""
        write_whole(self.note, json.dumps({"version": version, "total": total}).encode())

    def begin(self, version: str, total: int | None) -> None:
        """Forget what is there. The note comes last: without one nothing is gone on from."""
        self.remove()
        self.path.touch()
        self.write_note(version, total)

    def remove(self) -> None:
        """Remove both files."""
        self.note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def receive(address: str, part: Part, *, most_bytes: int, progress: Progress) -> None:
    """Make one request: go on with `part` where the server has its version, else begin anew.

    Returns with the part whole, or removed because the server has no such part; raises
    `Interrupted` for what the network does, and `InputError` for a file of over `most_bytes`.
    """
    kept, (version, total) = part.size(), part.known()
    headers = {"User-Agent": f"jaxviz/{__version__}", "Accept-Encoding": "identity"}
    resumes = bool(kept and version)
    if resumes:
        headers |= {"Range": f"bytes={kept}-", "If-Range": version}
    try:
        request = urllib.request.Request(address, headers=headers)
        answer = _opener().open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and resumes:
            return part.remove()
        passing = error.code == 429 or error.code >= 500
        raise Interrupted(f"HTTP {error.code} {error.reason}", final=not passing) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        cause = getattr(reason, "strerror", None) or reason or type(error).__name__
        raise Interrupted(f"{urlsplit(address).hostname} cannot be reached ({cause})") from None
    with answer:
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise Interrupted("was sent encoded, which was not asked for", final=True)
        if answer.status == 206 and resumes:
            total = _whole_size(answer.headers, kept, version, total)
            if total is None:
                return part.remove()
            part.write_note(version, total)
        elif answer.status == 200:
            length = answer.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
            _check_size(address, total or 0, most_bytes, part)
            part.begin(_version(answer.headers), total)
        else:
            raise Interrupted(f"HTTP {answer.status}, which was not asked for", final=True)
        _append(address, answer, part, total, most_bytes, progress)
    return None


def _version(headers: Any) -> str:
    """What `If-Range` may name: a strong ETag, else the date of the last change."""
    tag = headers.get("ETag", "").strip()
    version = tag if tag.startswith('"') else headers.get("Last-Modified", "").strip()
    return version if version.isascii() and version.isprintable() else ""


def _whole_size(headers: Any, kept: int, version: str, total: int | None) -> int | None:
    """The whole's size, if a partial answer begins where the part ends and is of the same file."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", "").strip())
    same = found and int(found[1]) == kept and _version(headers) in ("", version)
    if not found or not same or (total is not None and int(found[2]) != total):
        return None
    return int(found[2])


def _check_size(address: str, size: int, most_bytes: int, part: Part) -> None:
    if size > most_bytes:
        part.remove()
        raise InputError(
            f"weights: {address} is not the official file: more than {most_bytes} bytes"
        )


def _append(
    address: str, answer: Any, part: Part, total: int | None, most_bytes: int, progress: Progress
) -> None:
    kept = part.size()
    progress(kept, total)
    with writing(part.path), part.path.open("ab") as file:
        for piece in _pieces(answer):
            kept += len(piece)
            _check_size(address, kept, most_bytes, part)
            file.write(piece)
            progress(kept, total)
    if not kept:
        raise Interrupted("sent nothing", final=True)
    if total is None:
        part.write_note(part.known()[0], kept)
    elif kept < total:
        raise Interrupted(f"the connection ended after {kept} of {total} bytes")


def _pieces(answer: Any) -> Iterator[bytes]:
    try:
        while piece := answer.read1(_PIECE):
            yield piece
    except (OSError, http.client.HTTPException) as error:
        raise Interrupted(f"interrupted ({error or type(error).__name__})") from None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow a few redirects, from https to https only, and to nothing but the web."""

    max_redirections = 5

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        """Follow a redirect; an answer that leads nowhere is closed."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except Exception:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """Refuse what is no web address, and what would be less safe than before."""
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new != "https" and not old == new == "http":
            raise Interrupted(f"redirected to {newurl!r}, which is not followed", final=True)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """What opens http and https addresses, through a proxy if one is set, and nothing else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(), _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):  # fmt: skip
        opener.add_handler(handler)
    return opener
