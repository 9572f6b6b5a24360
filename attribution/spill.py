"""Arrays that are kept in files of this process, because all of them would fill the memory."""

from __future__ import annotations

import mmap
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

__all__ = ["Growing", "Stacked", "let_go"]

_PREFIX = "kpi-attribution-"


class _Folder:
    """A folder that goes when nothing refers to it any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class Growing:
    """Arrays in a folder of their own that grow at the end; the folder goes when they do."""

    def __init__(self) -> None:
        self._folder = _Folder()
        self._files: dict[str, Any] = {}

    def append(self, name: str, values: np.ndarray) -> None:
        """Add values, of the type of the first ones, to the end of one of the arrays."""
        if name not in self._files:
            path = self._folder.path / f"{len(self._files)}.bin"
            self._files[name] = (path, values.dtype)
        path, dtype = self._files[name]
        with path.open("ab") as file:
            np.ascontiguousarray(values, dtype=dtype).tofile(file)

    def array(self, name: str) -> np.ndarray:
        """Return one of the arrays, in its file."""
        path, dtype = self._files[name]
        found = np.memmap(path, dtype=dtype, mode="r+").view(_Kept)
        found.folder = self._folder
        return found


class _Kept(np.memmap):
    """Keeps the folder of its file."""

    folder: Any = None

    def __array_finalize__(self, obj: Any) -> None:
        super().__array_finalize__(obj)
        self.folder = getattr(obj, "folder", None)


def let_go(*arrays: np.ndarray) -> None:
    """Give back the memory that arrays in files take; what was written stays in the files."""
    for array in arrays:
        kept = getattr(array, "_mmap", None)
        if isinstance(kept, mmap.mmap):
            kept.flush()
            if hasattr(mmap, "MADV_DONTNEED"):  # Windows gives pages back by itself
                kept.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True, eq=False)
class Stacked:
    """A sparse matrix in blocks of rows, each in files, read one after the other.

    Attributes
    ----------
    paths : tuple of Path
    width : int
        The number of columns.
    order : ndarray of int
        The rows of products, by their position in the blocks below each other.
    folder : object
        What keeps the files.
    changed : callable, optional
        What is done to a block when it is read.
    """

    paths: tuple[Path, ...]
    width: int
    order: np.ndarray
    folder: Any
    changed: Callable[[sparse.csr_array], sparse.csr_array] | None = None

    @classmethod
    def of(cls, blocks: Iterator[sparse.csr_array], order: Callable[[], np.ndarray]) -> Stacked:
        """Write blocks to files; the order is asked for when all of them are."""
        folder, paths, width = _Folder(), [], 0
        for i, block in enumerate(blocks):
            paths.append(folder.path / f"{i}.npz")
            np.savez(paths[-1], data=block.data, indices=block.indices, indptr=block.indptr)
            width = block.shape[1]
        return cls(tuple(paths), width, order(), folder)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.order), self.width

    def blocks(self) -> Iterator[sparse.csr_array]:
        """Read the blocks of rows, one after the other."""
        for path in self.paths:
            with np.load(path) as held:
                parts = held["data"], held["indices"], held["indptr"]
            block = sparse.csr_array(parts, shape=(len(parts[2]) - 1, self.width))
            yield block if self.changed is None else self.changed(block)

    def mapped(self, change: Callable[[sparse.csr_array], sparse.csr_array]) -> Stacked:
        """Return the matrix with a function of each block in its place."""
        before = self.changed
        both = change if before is None else lambda block: change(before(block))
        return replace(self, changed=both)

    def __matmul__(self, other: Any) -> Any:
        products = [block @ other for block in self.blocks()]
        if isinstance(products[0], np.ndarray):
            return np.concatenate(products)[self.order]
        return sparse.csr_array(sparse.vstack(products, format="csr"))[self.order]

    def __reduce__(self) -> tuple[Any, ...]:
        # Files do not travel: a copy in another process is in memory.
        whole = sparse.csr_array(sparse.vstack(list(self.blocks()), format="csr"))[self.order]
        return _held, (whole.data, whole.indices, whole.indptr, whole.shape)


def _held(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]
) -> sparse.csr_array:
    return sparse.csr_array((data, indices, indptr), shape=shape)
