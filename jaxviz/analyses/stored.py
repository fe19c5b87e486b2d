"""Analyses in a file, with all that their figures need."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import jax
import numpy as np
from jaxtyping import jaxtyped

from .._checks import InputError
from ..files import read_arrays, write_arrays
from .base import ENTRIES, KINDS, Analysis


def save_analyses(
    path: str | os.PathLike[str], analyses: Sequence[Analysis], provenance: Mapping[str, Any]
) -> Path:
    """Write analyses to an npz, from which `load_analyses` and `jaxviz draw` read them.

    Where two of them would use one entry name, each entry gets its analysis's number and a dot in
    front: `0.scores`, `1.scores`.
    """
    packed = [_packed(analysis, "") for analysis in analyses]
    names = [name for _, arrays in packed for name in arrays]
    if len(set(names)) < len(names):
        packed = [_packed(analysis, f"{i}.") for i, analysis in enumerate(analyses)]
    arrays = {name: value for _, arrays in packed for name, value in arrays.items()}
    records = [record for record, _ in packed]
    return write_arrays(Path(path), arrays, {**provenance, "analyses": records})


def _packed(analysis: Any, prefix: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the JSON record holds of an analysis, and its arrays by entry name."""
    name, entries = ENTRIES[type(analysis)]
    arrays: dict[str, np.ndarray] = {}

    def plain(value: Any, entry: str) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray | jax.Array):
            arrays[entry] = np.asarray(value)
            return {"array": entry}
        if hasattr(value, "_asdict"):
            return {key: plain(part, f"{entry}.{key}") for key, part in value._asdict().items()}
        if isinstance(value, list | tuple):
            return [plain(part, f"{entry}.{i}") for i, part in enumerate(value)]
        return value

    values = analysis._asdict()
    fields = {
        field: plain(value, prefix + entries.get(field, field).format(**values))
        for field, value in values.items()
    }
    return {"kind": name, "fields": fields}, arrays


def load_analyses(path: str | os.PathLike[str]) -> tuple[list[Any], dict[str, Any]]:
    """Read what `save_analyses` wrote: the analyses and the provenance.

    Nothing in the file is executed. Raises `InputError` for one that is damaged, that jaxviz did
    not write, or whose fields are not those that this version's analyses have.
    """
    arrays, record = read_arrays(Path(path))
    if "analyses" not in record:
        raise InputError(f"{path}: holds no analyses; commands write them with --save-arrays")
    analyses = []
    try:
        for stored in record.pop("analyses"):
            found: list[tuple[np.ndarray, Any]] = []
            analyses.append(_decoded(stored["fields"], KINDS[stored["kind"]], arrays, found))
            with jaxtyped("context"):  # sizes of the same name must agree
                for array, hint in found:
                    if not isinstance(array, hint):
                        raise TypeError(f"expected {hint.__name__}, got {array.dtype}{array.shape}")
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not an analysis of this version ({error})") from None
    return analyses, record


def _decoded(
    value: Any, hint: Any, arrays: Mapping[str, np.ndarray], found: list[tuple[np.ndarray, Any]]
) -> Any:
    """Turn what JSON gives into a value of the type `hint`; its arrays are added to `found`."""
    hints = (hint, *get_args(hint))
    if isinstance(value, dict) and value.keys() == {"array"}:
        wanted = [one for one in hints if one is np.ndarray or hasattr(one, "array_type")]
        found += [(arrays[value["array"]], one) for one in wanted]
        if wanted:
            return arrays[value["array"]]
    if isinstance(value, dict):
        cls = next((one for one in hints if hasattr(one, "_fields")), None)
        if cls is None:
            raise TypeError(f"expected {hint}, got {value}")
        types = get_type_hints(cls)
        parts = {
            field: _decoded(part, types[field], arrays, found) for field, part in value.items()
        }
        return cls(**parts)
    if isinstance(value, list):
        inner = next((get_args(one)[0] for one in hints if get_origin(one) is tuple), None)
        value = tuple(_decoded(part, inner, arrays, found) for part in value)
    if not _fits(value, hint):
        raise TypeError(f"expected {hint}, got {str(value)[:80]}")
    return value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value that is no array is of a type; the parts of a tuple were looked at before."""
    parts = get_args(hint)
    if get_origin(hint) is tuple:
        size = len(parts) if parts[-1] is not Ellipsis else None
        return isinstance(value, tuple) and size in (None, len(value))
    if parts:  # a union
        return any(_fits(value, part) for part in parts)
    return isinstance(value, float | int if hint is float else hint)
