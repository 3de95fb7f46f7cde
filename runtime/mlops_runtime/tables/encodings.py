"""The encoding of a file of text, told from all of its bytes."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import IO

BLOCK = 1 << 20
"""Bytes that are read at once."""

MAX_LINE_LENGTH = 1 << 26
"""Maximum bytes between two line ends: a longer line is no row of a table, and would be held in memory whole."""

PROBE = 1 << 14
"""Bytes of each of the pieces, spread over the file, that its decimal mark is told from."""

MAX_PROBES = 16

MAX_SAMPLE = 1 << 16
"""Bytes of lines with letters outside ASCII that an encoding other than UTF-8 is told from."""

MIN_DISTINCT_BYTES = 3
"""Minimum number of different bytes outside ASCII that an encoding can be told from; with fewer it is cp1252."""

USUAL_ENCODINGS = re.compile(
    r"(windows-125\d|iso-8859-\d+|koi8-[rut]|cp9\d\d|shift_jis\S*|euc-\S+|gb\S+|big5\S*|macroman)"
)
"""Encodings of tables: a guess of another one, such as a code page of DOS, is less likely than cp1252."""

LINE_OUTSIDE_ASCII = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")
OUTSIDE_ASCII = re.compile(rb"[\x80-\xff]")
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class SourceError(ValueError):
    """The file can't be read as a table; the message is a sentence that says what to do next."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What one reading of the whole file shows.

    Attributes:
        encoding: of the text, as codecs call it.
        lines: number of line ends, at least 1.
        quoted: whether a quotation mark stands anywhere.
        probes: pieces of the text, spread evenly over the file.
    """

    encoding: str
    lines: int
    quoted: bool
    probes: tuple[str, ...]


def survey(name: str, file: IO[bytes]) -> Survey:
    """Read a file of text through, in memory that does not grow with it.

    Args:
        name: of the file, for messages.
        file: at its start.

    Raises:
        SourceError: if it is empty or no text, or if chardet is needed and not installed.
    """
    first = file.read(BLOCK)
    if not first.strip():
        raise SourceError(f"{name} is empty: a table has a header and rows")
    found = _Survey(name, "utf-16" if first.startswith(UTF_16_MARKS) else "utf-8")
    block = first
    while block:
        found.add(block)
        block = file.read(BLOCK)
    encoding = found.finish()
    if encoding is None:
        encoding = _legacy_encoding(name, found.sample, file)
    elif first.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    probes = tuple(codecs.decode(probe, found.codec_of_probes(encoding), "ignore") for probe in found.probes)
    return Survey(encoding, max(1, found.feeds or found.returns), found.quoted, probes)


class _Survey:
    """Counts of the blocks that have been read."""

    def __init__(self, name: str, encoding: str) -> None:
        self.feeds = 0
        self.returns = 0
        self.quoted = False
        self.probes: list[bytes] = []
        self.sample = b""
        self._name = name
        self._encoding: str | None = encoding
        self._wide = encoding == "utf-16"
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._big_endian = False
        self._run = 0
        self._blocks = 0
        self._stride = 1

    def add(self, block: bytes) -> None:
        """Count a block.

        Raises:
            SourceError: if it is no text.
        """
        if self._wide:
            if not self._blocks:
                self._big_endian = block.startswith(codecs.BOM_UTF16_BE)
            self._count(self._utf_16(block).encode())
        else:
            self._utf_8(block)
            self._count(block)
        self._add_probe(block)

    def finish(self) -> str | None:
        """Return utf-8 or utf-16, or None if the bytes are neither.

        Raises:
            SourceError: if it starts as UTF-16 and ends within a letter.
        """
        if self._wide:
            self._utf_16(b"", final=True)
        else:
            self._utf_8(b"", final=True)
        return self._encoding

    def codec_of_probes(self, encoding: str) -> str:
        """Return the codec of a piece of the text, which starts without a byte-order mark."""
        if self._wide:
            return "utf-16-be" if self._big_endian else "utf-16-le"
        return encoding

    def _count(self, block: bytes) -> None:
        if b"\0" in block:
            raise SourceError(f"{self._name} is no text, it holds bytes of zero: save the table as CSV in UTF-8")
        self.quoted = self.quoted or b'"' in block
        self.feeds += block.count(b"\n")
        self.returns += block.count(b"\r")
        last = max(block.rfind(b"\n"), block.rfind(b"\r"))
        self._run = self._run + len(block) if last < 0 else len(block) - last
        if self._run > MAX_LINE_LENGTH:
            raise SourceError(f"{self._name} has a line of more than {MAX_LINE_LENGTH} bytes: is it a table?")

    def _utf_16(self, block: bytes, final: bool = False) -> str:
        try:
            return self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            raise SourceError(f"{self._name} starts as UTF-16 but is not: save it as CSV in UTF-8") from error

    def _utf_8(self, block: bytes, final: bool = False) -> None:
        if len(self.sample) < MAX_SAMPLE and not block.isascii():
            self.sample = b"\n".join([self.sample, *LINE_OUTSIDE_ASCII.findall(block)])[:MAX_SAMPLE]
        if self._encoding is not None:
            try:
                self._decoder.decode(block, final)
            except UnicodeDecodeError:
                self._encoding = None

    def _add_probe(self, block: bytes) -> None:
        """Keep the start of every block, or of every second, fourth, … one if there are many."""
        if self._blocks % self._stride == 0:
            self.probes.append(block[:PROBE])
        self._blocks += 1
        if len(self.probes) > MAX_PROBES:
            self.probes, self._stride = self.probes[::2], self._stride * 2


def _legacy_encoding(name: str, sample: bytes, file: IO[bytes]) -> str:
    """Return the encoding of a file that is not in UTF-8 or UTF-16.

    Args:
        name: of the file, for messages.
        sample: lines of it with bytes outside ASCII.
        file: the file, which is read once more for each encoding that is tried.

    Raises:
        SourceError: if chardet is not installed.
    """
    candidates = ["cp1252", "latin-1"]
    if len(set(OUTSIDE_ASCII.findall(sample))) >= MIN_DISTINCT_BYTES:
        try:
            detected = import_module("chardet").detect(sample)["encoding"] or ""
        except ImportError as error:
            raise SourceError(
                f"{name} is not in UTF-8: save it as CSV in UTF-8, or run `python -m pip install chardet`, "
                "which tells other encodings"
            ) from error
        if USUAL_ENCODINGS.fullmatch(detected.lower()):
            candidates.insert(0, codecs.lookup(detected).name)
    # Latin-1 has a letter for every byte.
    return next(encoding for encoding in candidates if _decodes(file, encoding))


def _decodes(file: IO[bytes], encoding: str) -> bool:
    """Return whether the whole file is text in an encoding."""
    file.seek(0)
    try:
        for _ in _texts(file, encoding):
            pass
    except UnicodeDecodeError:
        return False
    return True


def _texts(file: IO[bytes], encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    while block := file.read(BLOCK):
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)
