// CSV (RFC 4180) read in pieces, so that a large file is never held whole, and written row by row.

const SEPARATORS = [",", ";", "\t"];

/** Return the separator that stands most often in the first line, outside of quotes. */
export function separatorOf(text) {
  const counts = new Map(SEPARATORS.map((separator) => [separator, 0]));
  let quoted = false;
  for (const character of text) {
    if (character === '"') quoted = !quoted;
    else if (!quoted && /[\r\n]/.test(character)) break;
    else if (!quoted && counts.has(character)) counts.set(character, counts.get(character) + 1);
  }
  return SEPARATORS.reduce((best, separator) => (counts.get(separator) > counts.get(best) ? separator : best));
}

/** Return a row as a line of a table, with quotes where they are needed. */
export function lineOf(cells, separator) {
  const special = (cell) => [separator, '"', "\n", "\r"].some((character) => cell.includes(character));
  return cells.map((cell) => (special(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(separator) + "\r\n";
}

/** Finds the rows in a text that comes in pieces. */
export class Reader {
  #separator;
  #cell = "";
  #row = [];
  #quoted = false;
  #afterQuote = false;
  #afterReturn = false;

  constructor(separator) {
    this.#separator = separator;
  }

  /** Return the rows that end in this piece. A blank line is none. */
  read(piece) {
    const rows = [];
    for (const character of piece) {
      const ended = this.#afterReturn && character === "\n";
      this.#afterReturn = false;
      if (ended) continue;
      if (this.#quoted) this.#inQuotes(character);
      else if (this.#afterQuote && character === '"') this.#quote();
      else if (character === '"' && this.#cell === "" && !this.#afterQuote) this.#quoted = true;
      else if (character === this.#separator) this.#endCell();
      else if (character === "\n" || character === "\r") {
        this.#afterReturn = character === "\r";
        rows.push(...this.end());
      } else this.#cell += character;
    }
    return rows;
  }

  /** Return the row that no line end follows, if there is one. */
  end() {
    const blank = this.#row.length === 0 && this.#cell === "" && !this.#afterQuote;
    this.#endCell();
    const row = this.#row;
    this.#row = [];
    this.#quoted = false;
    return blank ? [] : [row];
  }

  #inQuotes(character) {
    if (character === '"') {
      this.#quoted = false;
      this.#afterQuote = true;
    } else this.#cell += character;
  }

  /** A quote right after the one that seemed to end the cell: both stand for one, and the cell goes on. */
  #quote() {
    this.#cell += '"';
    this.#quoted = true;
    this.#afterQuote = false;
  }

  #endCell() {
    this.#row.push(this.#cell);
    this.#cell = "";
    this.#afterQuote = false;
  }
}

/** Return all rows of a text. */
export function rowsOf(text, separator = ",") {
  const reader = new Reader(separator);
  return [...reader.read(text), ...reader.end()];
}
