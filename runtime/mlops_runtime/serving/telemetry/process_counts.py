"""Arrays of counts in memory-mapped files: one file per process, read by all processes without locks.

`prometheus_client` stores each value separately; this module adds thousands of counts as one array. The file keeps
the counts of a process that has ended or was killed. Each number has eight bytes at an aligned address, so reads
and writes are atomic.
"""

import logging
import mmap
import os
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

DTYPE = np.dtype(np.float64)
"""Integers are exact up to 2**53."""

logger = logging.getLogger("webservice")


class ProcessCounts:
    """A fixed number of counts, initially 0.

    Attributes:
        own: counts of this process, shape (size,), to be changed in place.
    """

    def __init__(self, folder: Path | None, name: str, size: int) -> None:
        """Create the file of this process.

        Args:
            folder: of the files; if it is None or unusable, `each` has only the counts of this process.
            name: `each` has the counts of processes with the same name and size.
            size: number of counts.
        """
        self._suffix = f".{name}-{size}"
        self._bytes = size * DTYPE.itemsize
        self._folder = folder
        self._path: Path | None = None
        memory = mmap.mmap(-1, self._bytes)
        if folder:
            try:
                self._path = folder / f"{uuid4().hex}{self._suffix}"
                memory = self._mapped(self._path)
            except OSError as error:
                logger.error("drift is measured for one process only: %s cannot be used: %s", folder, error.strerror)
                self._folder = None
        self.own: NDArray[np.float64] = np.frombuffer(memory, DTYPE)

    def each(self) -> list[NDArray[np.float64]]:
        """Return the counts of each process, shape (size,) each."""
        if self._folder is None:
            return [self.own]
        paths = [path for path in self._folder.glob(f"*{self._suffix}") if path != self._path]
        # A file that another process is creating may still be empty.
        return [self.own, *(np.memmap(path, DTYPE, "r") for path in paths if path.stat().st_size == self._bytes)]

    def _mapped(self, path: Path) -> mmap.mmap:
        with path.open("x+b") as file:
            try:
                # On a full disk, writing to an unallocated page would kill the process (SIGBUS).
                os.posix_fallocate(file.fileno(), 0, self._bytes)
            except OSError:
                path.unlink()
                raise
            return mmap.mmap(file.fileno(), 0)
