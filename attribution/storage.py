"""A cube in one file: a zip of arrays and a JSON header, the same bytes for the same cube.

Clusters are in it as codes only, in the order of their labels: who did the work is not.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from attribution.cube import ClusterSums, Cube
from attribution.errors import MissingFileError, SourceError
from attribution.functions import FunctionOfSums, Total
from attribution.metrics import Mean, Quantile, Rate, Ratio
from attribution.products import Composite, ErrorTypes, Product
from attribution.sketch import Sketch

__all__ = ["load_cube", "save_cube"]

_FORMAT = 1
_KINDS = (ErrorTypes, FunctionOfSums, Mean, Product, Quantile, Rate, Ratio, Total)
_METRICS: dict[str, type] = {kind.__name__: kind for kind in _KINDS}
# A zip notes when each member was written; the same cube must give the same bytes.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def save_cube(cube: Cube, path: str | Path) -> None:
    """Write a cube; an earlier file stays whole until the new one is.

    Parameters
    ----------
    cube : Cube
    path : str or Path
    """
    path = Path(path)
    arrays = {"codes": cube.codes}
    arrays |= {f"sums/{i}": v for i, v in enumerate(cube.sums.values())}
    for i, sketch in enumerate(cube.sketches.values()):
        arrays |= {f"sketches/{i}/{part}": x for part, x in _sketch_arrays(sketch).items()}
    header = {
        "format": _FORMAT,
        "metrics": [_described(m) for m in cube.metrics],
        "dimensions": cube.dimensions,
        "levels": cube.levels,
        "periods": cube.periods,
        "sums": list(cube.sums),
        "sketches": list(cube.sketches),
        "weighted": cube.weighted,
        "provenance": cube.provenance,
        "findings": cube.findings,
        "hierarchy": cube.hierarchy,
        "clusters": None,
    }
    if cube.clusters is not None:
        held = cube.clusters
        header["clusters"] = {"names": held.names, "sums": list(held.sums)}
        arrays |= {
            "clusters/codes": held.codes,
            "clusters/period": held.period,
            "clusters/segment": held.segment,
        }
        arrays |= {f"clusters/sums/{i}": v for i, v in enumerate(held.sums.values())}
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with zipfile.ZipFile(unfinished, "w") as archive:
            _write(archive, "cube.json", json.dumps(header, ensure_ascii=False).encode())
            for name, array in arrays.items():
                buffer = io.BytesIO()
                np.save(buffer, array, allow_pickle=False)
                _write(archive, f"{name}.npy", buffer.getvalue())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_cube(path: str | Path) -> Cube:
    """Read a cube that `save_cube` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Cube

    Raises
    ------
    SourceError
        No such file, not a cube, or a cube of a later format.
    """
    if not Path(path).exists():
        raise MissingFileError(f"cube: no file {str(path)!r}.")
    try:
        with zipfile.ZipFile(path) as archive:
            header = json.loads(archive.read("cube.json"))
            arrays = {
                name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)))
                for name in archive.namelist()
                if name.endswith(".npy")
            }
        if header["format"] == _FORMAT:
            return _cube(header, arrays)
    except (OSError, zipfile.BadZipFile, EOFError, LookupError, TypeError, ValueError) as error:
        raise SourceError(f"cube: {str(path)!r} is not a saved cube ({error}).") from error
    raise SourceError(
        f"cube: {str(path)!r} has format {header['format']}; this version reads {_FORMAT}. Update "
        "kpi-attribution."
    )


def _described(metric: Any) -> dict[str, Any]:
    own = {f.name: getattr(metric, f.name) for f in fields(metric)}
    if isinstance(metric, Composite):
        own["factors"] = {name: _described(kpi) for name, kpi in metric.kpis.items()}
    return {"kind": type(metric).__name__, **own}


def _metric(described: dict[str, Any]) -> Any:
    own = {name: value for name, value in described.items() if name != "kind"}
    kind = _METRICS[described["kind"]]
    if issubclass(kind, Composite):
        own["factors"] = {name: _metric(kpi) for name, kpi in own["factors"].items()}
    return kind(**own)


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, _NO_TIME)
    archive.writestr(member, content, zipfile.ZIP_DEFLATED)


def _sketch_arrays(sketch: Sketch) -> dict[str, np.ndarray]:
    counts = sketch.weight
    return {
        "low": sketch.low,
        "high": sketch.high,
        "rungs": sketch.rungs,
        "data": counts.data,
        "indices": counts.indices,
        "indptr": counts.indptr,
    }


def _sketch(arrays: dict[str, np.ndarray], prefix: str) -> Sketch:
    low, indptr = arrays[prefix + "low"], arrays[prefix + "indptr"]
    stored = (arrays[prefix + "data"], arrays[prefix + "indices"], indptr)
    counts = sparse.csr_array(stored, shape=(len(indptr) - 1, len(low)))
    return Sketch(low, arrays[prefix + "high"], counts, arrays[prefix + "rungs"])


def _cube(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Cube:
    clusters = None
    if held := header["clusters"]:
        clusters = ClusterSums(
            names=tuple(held["names"]),
            codes=arrays["clusters/codes"],
            period=arrays["clusters/period"],
            segment=arrays["clusters/segment"],
            sums={k: arrays[f"clusters/sums/{i}"] for i, k in enumerate(held["sums"])},
        )
    return Cube(
        metrics=tuple(_metric(m) for m in header["metrics"]),
        dimensions=tuple(header["dimensions"]),
        levels=tuple(tuple(labels) for labels in header["levels"]),
        periods=tuple(header["periods"]),
        codes=arrays["codes"],
        sums={k: arrays[f"sums/{i}"] for i, k in enumerate(header["sums"])},
        clusters=clusters,
        weighted=header["weighted"],
        sketches={k: _sketch(arrays, f"sketches/{i}/") for i, k in enumerate(header["sketches"])},
        provenance=header["provenance"],
        findings=tuple(header["findings"]),
        hierarchy=header.get("hierarchy", {}),
    )
