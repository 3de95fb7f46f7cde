"""Detection of the encoding of a text file, from all of its bytes."""

import codecs
import re
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any

BLOCK_SIZE = 1 << 20
"""Bytes per read."""

MAX_LINE_LENGTH = 1 << 26
"""Maximum number of bytes of a line: a longer line is not a row of a table, and would not fit into memory."""

EXCERPT_SIZE = 1 << 14
"""Bytes of an excerpt. The decimal mark is detected in excerpts from the whole file."""

MAX_EXCERPTS = 16

MAX_SAMPLE_SIZE = 1 << 16
"""Maximum number of bytes of the lines with non-ASCII characters in which chardet detects the encoding."""

MIN_DISTINCT_BYTES = 3
"""Minimum number of distinct non-ASCII bytes for a detection; with fewer, the encoding is taken to be cp1252."""

PLAUSIBLE_ENCODINGS = re.compile(
    r"(windows-125\d|cp1258|iso-8859-\d+|koi8-[ru]|ibm866|cp874|tis-620|cp9\d\d|shift_jis\S*|euc-\S+|gb\S+|big5\S*"
    r"|macroman)"
)
"""Encodings in which tables occur. If chardet detects none of these, cp1252 is more likely."""

DOS_ENCODINGS = re.compile(r"cp(437|85[028])")
"""Encodings that are likely only if bytes have no character in cp1252."""

WESTERN_SHARE = 0.65
"""Share of the highest confidence at which cp1252 is taken instead: most tables outside UTF-8 are in Western languages,
and a few accents are in many encodings."""

DOS_LETTER = re.compile(rb"[A-Za-z][\x81-\x84\x87-\x89\x94][a-z]")
"""Letter of the encodings of DOS within a word, which is no letter in cp1252: \x81 for ü, \x82 for é, \x94 for ö."""

TURKISH = re.compile(r"[ÐÝÞðýþ]")
ICELANDIC = re.compile(r"[ÁÆÉÍÓÚáæéíóú]")
"""Letters of cp1252 that cp1254 has replaced by those of Turkish, and letters that stand beside them in Icelandic."""

NO_CYRILLIC = re.compile("[\u2020\u2021\u2026\u2030\u20ac\u2122\u2022\xa1-\xbf][^\\W\\d_]|[а-яё][А-ЯЁЂ-Џ]")  # noqa: RUF001
"""Text that is not Cyrillic: symbols before letters, and capital letters within words."""

ISO_2022_ESCAPE = b"\x1b$"
"""Start of Japanese characters in ISO-2022-JP, which consists of ASCII bytes alone."""

SYMBOL_IN_WORD = re.compile(r"[^\W\d_][\xa1-\xbf\xd7\xf7][^\W\d_]")
"""Text that is not Western: in cp1252, it has a symbol between letters."""

CP1252_BYTES = frozenset(range(256)) - {0x81, 0x8D, 0x8F, 0x90, 0x9D}

DIGITS = re.compile(rb"[0-9]+")
NON_ASCII_BYTE = re.compile(rb"[\x80-\xff]")
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class SourceError(ValueError):
    """The file can't be read as a table; the message is a sentence that says what to do next."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Properties of a text file.

    Attributes:
        encoding: name of the codec.
        lines: number of line ends, at least 1.
        quoted: whether the file contains a quotation mark.
        excerpts: pieces of the text at regular distances in the file.
    """

    encoding: str
    lines: int
    quoted: bool
    excerpts: tuple[str, ...]


def scan(name: str, file: IO[bytes]) -> Scan:
    """Read a text file to its end, in bounded memory.

    Args:
        name: name of the file, for messages.
        file: the open file, at its start.

    Raises:
        SourceError: if the file is empty or not text, or if it needs chardet, which is not installed.
    """
    first = file.read(BLOCK_SIZE)
    if not first.strip():
        raise SourceError(f"{name} is empty: a table has a header and rows")
    scanner = _Scanner(name, "utf-16" if first.startswith(UTF_16_MARKS) else "utf-8")
    block = first
    while block:
        scanner.add(block)
        block = file.read(BLOCK_SIZE)
    encoding = scanner.finish()
    if encoding is None:
        encoding = _legacy_encoding(name, scanner.sample, file)
    elif first.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    elif scanner.escaped and _decodes(file, "iso2022_jp_ext"):
        encoding = "iso2022_jp_ext"
    codec = scanner.excerpt_codec(encoding)
    excerpts = tuple(codecs.decode(excerpt, codec, "ignore") for excerpt in scanner.excerpts)
    return Scan(encoding, max(1, scanner.line_feeds or scanner.carriage_returns), scanner.quoted, excerpts)


class _Scanner:
    """Properties of the blocks read so far."""

    def __init__(self, name: str, encoding: str) -> None:
        self.line_feeds = 0
        self.carriage_returns = 0
        self.quoted = False
        self.escaped = False
        self.excerpts: list[bytes] = []
        self.sample = b""
        self._name = name
        self._encoding: str | None = encoding
        self._is_utf_16 = encoding == "utf-16"
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._big_endian = False
        self._line_length = 0
        self._blocks = 0
        self._stride = 1

    def add(self, block: bytes) -> None:
        """Add the next block of the file.

        Raises:
            SourceError: if it is not text.
        """
        if self._is_utf_16:
            if not self._blocks:
                self._big_endian = block.startswith(codecs.BOM_UTF16_BE)
            self._count(self._utf_16(block).encode())
        else:
            self._utf_8(block)
            self._count(block)
        self._add_excerpt(block)

    def finish(self) -> str | None:
        """Return utf-8 or utf-16, or None if the bytes are neither.

        Raises:
            SourceError: if the file starts as UTF-16 and ends within a character.
        """
        if self._is_utf_16:
            self._utf_16(b"", final=True)
        else:
            self._utf_8(b"", final=True)
        return self._encoding

    def excerpt_codec(self, encoding: str) -> str:
        """Return the codec of an excerpt, which has no byte-order mark."""
        if self._is_utf_16:
            return "utf-16-be" if self._big_endian else "utf-16-le"
        return encoding

    def _count(self, block: bytes) -> None:
        if b"\0" in block:
            raise SourceError(f"{self._name} is not text, it contains null bytes: save the table as CSV in UTF-8")
        self.quoted = self.quoted or b'"' in block
        self.escaped = self.escaped or ISO_2022_ESCAPE in block
        self.line_feeds += block.count(b"\n")
        self.carriage_returns += block.count(b"\r")
        last = max(block.rfind(b"\n"), block.rfind(b"\r"))
        self._line_length = self._line_length + len(block) if last < 0 else len(block) - last
        if self._line_length > MAX_LINE_LENGTH:
            raise SourceError(f"{self._name} has a line of more than {MAX_LINE_LENGTH} bytes: is it a table?")

    def _utf_16(self, block: bytes, final: bool = False) -> str:
        try:
            return self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            raise SourceError(f"{self._name} is not valid UTF-16: save it as CSV in UTF-8") from error

    def _utf_8(self, block: bytes, final: bool = False) -> None:
        if len(self.sample) < MAX_SAMPLE_SIZE and not block.isascii():
            lines = (line for line in block.splitlines() if not line.isascii())
            self.sample = b"\n".join([self.sample, *lines])[:MAX_SAMPLE_SIZE]
        if self._encoding is not None:
            try:
                self._decoder.decode(block, final)
            except UnicodeDecodeError:
                self._encoding = None

    def _add_excerpt(self, block: bytes) -> None:
        """Keep the start of each block; of many blocks, the start of every second, fourth, … block."""
        if self._blocks % self._stride == 0:
            self.excerpts.append(block[:EXCERPT_SIZE])
        self._blocks += 1
        if len(self.excerpts) > MAX_EXCERPTS:
            self.excerpts, self._stride = self.excerpts[::2], self._stride * 2


def _legacy_encoding(name: str, sample: bytes, file: IO[bytes]) -> str:
    """Return the encoding of a file that is neither UTF-8 nor UTF-16.

    Args:
        name: name of the file, for messages.
        sample: lines of the file with non-ASCII bytes.
        file: the open file, which is read again for each candidate encoding.

    Raises:
        SourceError: if chardet is not installed.
    """
    candidates = ["cp1252", "latin-1"]
    if len(set(NON_ASCII_BYTE.findall(sample))) >= MIN_DISTINCT_BYTES:
        try:
            # Rows that differ by numbers alone count once: frequent names are no evidence of a language.
            sample = b"\n".join(dict.fromkeys(DIGITS.sub(b"", sample).split(b"\n")))
            detected = import_module("chardet").detect_all(sample)
        except ImportError as error:
            raise SourceError(
                f"{name} is not in UTF-8: save it as CSV in UTF-8, or run `python -m pip install chardet`, "
                "which detects other encodings"
            ) from error
        candidates = [*_likely(detected, sample), *candidates]
    else:
        candidates = [*_western(sample), *candidates]
    # Latin-1 decodes every byte.
    return next(encoding for encoding in candidates if _decodes(file, encoding))


def _likely(detected: list[dict[str, Any]], sample: bytes) -> list[str]:
    """Return the codec that chardet detected with the highest confidence, if tables occur in it."""
    confidences = {(each["encoding"] or "").lower(): each["confidence"] for each in detected}
    dos = any(byte not in CP1252_BYTES for byte in sample)
    likely = [
        name for name in confidences if PLAUSIBLE_ENCODINGS.fullmatch(name) or (dos and DOS_ENCODINGS.fullmatch(name))
    ]
    if not likely:
        return _western(sample)
    western = confidences.get("windows-1252", 0.0) >= WESTERN_SHARE * confidences[likely[0]]
    if western and not SYMBOL_IN_WORD.search(sample.decode("cp1252", "ignore")):
        return _western(sample)
    encoding = codecs.lookup(likely[0]).name
    if encoding == "cp1251":
        faults = {each: len(NO_CYRILLIC.findall(sample.decode(each, "ignore"))) for each in (encoding, "mac_cyrillic")}
        return [min(faults, key=faults.__getitem__)]
    return [encoding]


def _western(sample: bytes) -> list[str]:
    """Return the codec of a text in Latin letters if it is not cp1252."""
    if DOS_LETTER.search(sample):
        return ["cp850"]
    text = sample.decode("cp1252", "ignore")
    return ["cp1254"] if TURKISH.search(text) and not ICELANDIC.search(text) else []


def _decodes(file: IO[bytes], encoding: str) -> bool:
    """Return whether the complete file is valid in an encoding."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while block := file.read(BLOCK_SIZE):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
