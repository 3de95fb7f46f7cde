"""Counts that several processes keep together without ever waiting for one another.

Each process writes a file of its own, mapped into its memory, and whoever is asked adds up the
files of all. What a process counted outlives it, even if it is killed: the kernel keeps the pages.
A number is eight bytes at an address that eight divides, so it is written and read as a whole.
"""

import fcntl
import logging
import mmap
import os
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

CELL = np.dtype(np.float64)
"""A count or a sum; whole numbers are exact up to 2**53."""

logger = logging.getLogger("webservice")


class Counts:
    """A fixed number of cells, all 0 at first.

    Attributes:
        cells: those of this process, for one at a time, as in `cells[place] += 1`.
        array: the same cells, for many at a time, shape (size,).
    """

    def __init__(self, folder: Path | None, name: str, size: int) -> None:
        """Take a file that no living process has, or make one.

        Args:
            folder: of the files; without one the counts are those of this process alone.
            name: processes that give the same name and size count together.
            size: number of cells.
        """
        self._folder = folder
        self._suffix = f".{name}-{size}"
        self._size = size
        # The lock of the file is held for as long as this map exists.
        self._map = self._opened()
        self.cells = memoryview(self._map).cast("d")
        self.array: NDArray[np.float64] = np.frombuffer(self._map, CELL)

    def each(self) -> list[NDArray[np.float64]]:
        """Return the cells of each process, those that have ended included, shape (size,) each."""
        if self._path is None or self._folder is None:
            return [self.array]
        others = [path for path in self._folder.glob(f"*{self._suffix}") if path != self._path]
        return [self.array, *(np.memmap(path, CELL, "r", shape=(self._size,)) for path in others)]

    def total(self) -> NDArray[np.float64]:
        """Return the sums over all processes, shape (size,)."""
        total: NDArray[np.float64] = np.sum(self.each(), axis=0)
        return total

    def _opened(self) -> mmap.mmap:
        self._path: Path | None = None
        if self._folder is None:
            return mmap.mmap(-1, self._size * CELL.itemsize)
        try:
            # A process that takes the place of a dead one goes on with its counts, so that files do not pile up.
            for path in sorted(self._folder.glob(f"*{self._suffix}")):
                if found := _locked(path):
                    self._path = path
                    return found
            return self._made(self._folder)
        except OSError as error:
            # Answers matter more than their number.
            logger.error("this process counts for itself alone, as %s: %s", self._folder, error.strerror)
            return mmap.mmap(-1, self._size * CELL.itemsize)

    def _made(self, folder: Path) -> mmap.mmap:
        made = folder / uuid4().hex
        try:
            with made.open("x+b") as file:
                # A page that the disk has no room for when it is written to would end the process.
                os.posix_fallocate(file.fileno(), 0, self._size * CELL.itemsize)
                fcntl.flock(file, fcntl.LOCK_EX)
                mapped = mmap.mmap(file.fileno(), 0)
        except OSError:
            made.unlink(missing_ok=True)
            raise
        # Under this name others see it, whole.
        self._path = made.rename(made.with_suffix(self._suffix))
        return mapped


def _locked(path: Path) -> mmap.mmap | None:
    """Return the file, mapped and locked, or None if another process has it."""
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        # The map has a descriptor of its own to the same open file, and so keeps the lock.
        return mmap.mmap(file.fileno(), 0)
