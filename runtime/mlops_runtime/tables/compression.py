"""Decompression of files: gzip, bzip2, xz, and zip archives of one file."""

import gzip
import io
import zlib
from importlib import import_module
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import IO
from zipfile import BadZipFile, ZipFile, ZipInfo

from mlops_runtime.tables.encodings import SourceError
from mlops_runtime.tables.formats import BZIP2, COMPRESSED, EXCEL, GZIP, OPEN_DOCUMENT, START_SIZE, XZ, ZIP, advice_for
from mlops_runtime.tables.records import is_json

try:
    from lzma import LZMAError
except ImportError:  # some builds of Python lack the module
    LZMAError = EOFError  # type: ignore[misc,assignment]

READ_ERRORS = (OSError, EOFError, zlib.error, LZMAError, UnicodeError, BadZipFile)
"""Exceptions of reading; each compression has its own for a damaged file."""

MODULES = {BZIP2: ("bz2", "bzip2"), XZ: ("lzma", "xz")}
"""Modules of the standard library that some builds of Python lack, by the first bytes of their files."""

MAX_LISTED = 3


def opened(path: Path, content: bytes | None = None, *, json: bool = False) -> IO[bytes]:
    """Open a file, or its content in memory, decompressed.

    Args:
        path: path of the file.
        content: bytes of the file, or None to read them from the file.
        json: whether the file in a zip archive may be JSON; a table of JSON is read from a file of its own.

    Raises:
        SourceError: if it is an archive of several files, or can't be decompressed.
        OSError: if the file can't be read.
    """
    file = path.open("rb") if content is None else io.BufferedReader(io.BytesIO(content))
    start = file.peek(len(XZ))[: len(XZ)]
    if not start.startswith((GZIP, BZIP2, XZ, ZIP)):
        return file
    file.close()
    source = path if content is None else io.BytesIO(content)
    if start.startswith(GZIP):
        return gzip.open(source)  # type: ignore[return-value]
    if start.startswith(ZIP):
        return _member(path.name, source, json=json)
    module, program = next(names for signature, names in MODULES.items() if start.startswith(signature))
    try:
        stream: IO[bytes] = import_module(module).open(source)
    except ImportError as error:
        raise SourceError(f"{path.name} is compressed by {program}: run `{program} -dk {quote(path.name)}`") from error
    return stream


def _member(name: str, source: Path | io.BytesIO, *, json: bool) -> IO[bytes]:
    """Open the only file of a zip archive."""
    try:
        with ZipFile(source) as archive:
            member = _only_file(name, archive.infolist())
            file = archive.open(member)
            start = file.read(START_SIZE)
            file.seek(0)
            if start.startswith(COMPRESSED) or (is_json(start) and not json) or advice_for(name, start):
                file.close()
                raise SourceError(
                    f"{name} is a zip archive of {member.filename}: run `unzip {quote(name)}`, and give its path"
                )
            return file
    except (BadZipFile, NotImplementedError) as error:
        raise SourceError(
            f"{name} can't be unpacked, {error}: run `unzip {quote(name)}`, and give the path of the table"
        ) from (error)


def _only_file(name: str, members: list[ZipInfo]) -> ZipInfo:
    names = {member.filename for member in members}
    if "xl/workbook.xml" in names or "xl/workbook.bin" in names:
        raise SourceError(f"{name} {EXCEL.format(name=quote(name))}")
    if {"mimetype", "content.xml"} <= names:
        raise SourceError(f"{name} {OPEN_DOCUMENT.format(name=quote(name))}")
    files = [
        member
        for member in members
        if not member.is_dir()
        and not member.filename.startswith("__MACOSX/")
        and not PurePosixPath(member.filename).name.startswith(".")
    ]
    if len(files) != 1:
        listed = ", ".join(member.filename for member in files[:MAX_LISTED])
        more = ", …" if len(files) > MAX_LISTED else ""
        contents = f" ({listed}{more})" if files else ""
        raise SourceError(
            f"{name} is a zip archive of {len(files)} files{contents}: "
            f"run `unzip {quote(name)}`, and give the path of the table"
        )
    if files[0].flag_bits & 1:
        raise SourceError(
            f"{name} is protected by a password: run `unzip {quote(name)}`, and give the path of the table"
        )
    return files[0]
