// A table that is dropped on the page: sent in batches, and handed back with the predictions.

import { Reader, lineOf, rowsOf, separatorOf } from "./csv.js";
import { isoWriter } from "./moments.js";

const LISTED_FAULTS = 10;
const MOST_TRIES = 30;
const LONGEST_WAIT = 60;
/** Per cent of the progress after which a screen reader is told of it. */
const TOLD_EVERY = 20;
const DECIMAL_COMMA = /^[+-]?\d+,\d+$/;

class TableError extends Error {}

/** Return the fields of the contract, as the form has them. */
function contractOf(form) {
  return [...form.querySelectorAll(".field")].map((element) => {
    const control = element.querySelector("input, select, textarea");
    return {
      name: decodeURIComponent(control.name),
      required: control.required,
      number: element.matches(".number, .whole"),
      iso: element.dataset.written ? isoWriter(element.dataset.written) : null,
    };
  });
}

/** Return which columns of a table hold which fields. */
function columnsOf(header, contract) {
  const columns = contract
    .map((field) => ({ ...field, place: header.indexOf(field.name) }))
    .filter((field) => field.place >= 0 || field.required);
  const missing = (columns.length ? columns : contract).filter((field) => !(field.place >= 0)).map((field) => field.name);
  if (missing.length) {
    const more = missing.length > 5 ? ` and ${missing.length - 5} more` : "";
    throw new TableError(`The first line must name the columns. It lacks ${missing.slice(0, 5).join(", ")}${more}.`);
  }
  const twice = columns.find((field) => header.lastIndexOf(field.name) !== field.place);
  if (twice) throw new TableError(`The column ${twice.name} is there twice: take one of them away.`);
  return columns;
}

/** Return names of columns that the table has not got yet. */
function newNames(names, header) {
  const found = [];
  for (const name of names) {
    let free = name;
    while (header.includes(free) || found.includes(free)) free = `predicted_${free}`;
    found.push(free);
  }
  return found;
}

/** Wait so many seconds, or until it is cancelled. */
function wait(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** Return the answer to a table of records as rows, the first of them the names of the columns. */
async function ask(url, body, signal, onWait) {
  const headers = { "Content-Type": "text/csv", Accept: "text/csv", Prefer: "handling=lenient" };
  for (let tries = 1; ; tries++) {
    let seconds = Math.min(2 ** tries / 2, LONGEST_WAIT);
    try {
      const response = await fetch(url, { method: "POST", headers, body, signal });
      if (response.ok) return rowsOf(await response.text());
      if (![429, 502, 503, 504].includes(response.status)) {
        const problem = await response.json().catch(() => ({}));
        throw new TableError(problem.detail ?? `The service answered with status ${response.status}.`);
      }
      const asked = Number.parseInt(response.headers.get("Retry-After"), 10);
      if (asked >= 0) seconds = Math.min(asked, LONGEST_WAIT);
    } catch (error) {
      // What fetch throws when there is no answer is a TypeError: that may pass.
      if (!(error instanceof TypeError)) throw error;
    }
    if (tries === MOST_TRIES) throw new TableError("The service does not answer: try again later.");
    onWait(seconds);
    await wait(seconds, signal);
  }
}

/** Yield the text of a file in pieces, and the number of bytes that each of them had. */
async function* piecesOf(file) {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = file.stream().getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const text = done ? decoder.decode() : decoder.decode(value, { stream: true });
      yield [text, done ? 0 : value.length];
      if (done) return;
    }
  } catch (error) {
    if (error instanceof TypeError) throw new TableError("The file is not in UTF-8: save it as CSV UTF-8.");
    throw error;
  } finally {
    await reader.cancel();
  }
}

/** Yield the separator of a table, and then its rows with the number of bytes that were read up to there. */
async function* rowsIn(file) {
  let reader = null;
  let start = "";
  let bytes = 0;
  for await (const [text, length] of piecesOf(file)) {
    bytes += length;
    let piece = text;
    if (!reader) {
      start += text;
      if (!/[\r\n]/.test(start) && bytes < file.size) continue;
      const separator = separatorOf(start);
      yield [separator, 0];
      reader = new Reader(separator);
      piece = start;
    }
    for (const row of reader.read(piece)) yield [row, bytes];
  }
  if (reader) for (const row of reader.end()) yield [row, bytes];
}

/** Return the bytes that a text has at most, in UTF-8. */
function mostBytes(text) {
  return 3 * text.length;
}

/** Predicts the rows of one table, batch by batch, and keeps the lines of the table that is handed back. */
class Prediction {
  rows = 0;
  faulty = 0;
  faults = [];
  labels = new Map();
  parts = [];
  #batch = [];
  #length = 0;
  #answered = null;
  #waiting = [];

  constructor(url, limits, signal, onWait) {
    Object.assign(this, { url, limits, signal, onWait });
  }

  begin(header, separator, contract) {
    Object.assign(this, { header, separator });
    this.columns = columnsOf(header, contract);
    this.head = lineOf(this.columns.map((column) => column.name), ",");
    this.#length = mostBytes(this.head);
  }

  /** Take a row; predict those taken so far, if they are enough. */
  async take(cells) {
    const record = this.#record(cells);
    const line = record === null ? "" : lineOf(record, ",");
    const length = mostBytes(line);
    if (this.#batch.length === this.limits.records || this.#length + length > this.limits.bytes) await this.predict();
    this.#batch.push({ cells, line });
    this.#length += length;
  }

  /** Return the cells that the service gets; null where there are too few or too many of them. */
  #record(cells) {
    if (cells.length !== this.header.length) return null;
    return this.columns.map(({ place, number, iso }) => {
      const cell = cells[place].trim();
      if (iso) return iso(cell);
      return number && this.separator !== "," && DECIMAL_COMMA.test(cell) ? cell.replace(",", ".") : cell;
    });
  }

  /** Predict the rows taken so far. */
  async predict() {
    const batch = this.#batch;
    const sent = batch.filter(({ line }) => line);
    this.#batch = [];
    this.#length = mostBytes(this.head);
    let answers = [];
    if (sent.length) {
      const body = this.head + sent.map(({ line }) => line).join("");
      const [names, ...rows] = await ask(this.url, body, this.signal, this.onWait);
      if (rows.length !== sent.length) throw new TableError("The service answered fewer rows than it was asked for.");
      this.#answered ??= names;
      answers = rows;
    }
    for (const { cells, line } of batch) {
      this.rows += 1;
      const fault = `this has ${cells.length} cells, and the header ${this.header.length}`;
      this.#waiting.push([cells, line ? answers.shift() : [fault]]);
    }
    if (this.#answered) this.write();
  }

  /** Write the rows that are answered. */
  write() {
    const names = (this.#answered ??= ["error"]);
    if (!this.parts.length) {
      this.parts.push(lineOf([...this.header, ...newNames(names, this.header)], this.separator));
    }
    const lines = [];
    const written = this.rows - this.#waiting.length;
    for (const [index, [cells, answer]] of this.#waiting.entries()) {
      const [error] = answer.slice(-1);
      const padding = Array(names.length - answer.length).fill("");
      // Whatever the row has, its prediction stands in the right columns.
      const own = this.header.map((_, place) => cells[place] ?? "");
      lines.push(lineOf([...own, ...padding, ...answer], this.separator));
      if (error) {
        this.faulty += 1;
        if (this.faults.length < LISTED_FAULTS) this.faults.push({ row: written + index + 1, error });
      } else if (names[0] === "label") {
        this.labels.set(answer[0], (this.labels.get(answer[0]) ?? 0) + 1);
      }
    }
    this.parts.push(new Blob(lines));
    this.#waiting = [];
  }

  /** Return the table with the predictions. */
  result() {
    if (this.#waiting.length) this.write();
    return new Blob(this.parts, { type: "text/csv" });
  }
}

const count = (number) => number.toLocaleString("en");
const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** Makes the part of the page for tables work without leaving the page. */
export function serveTables(section, recordForm) {
  const form = section.querySelector("form");
  const input = form.querySelector("input[type=file]");
  const working = section.querySelector(".working");
  const bar = working.querySelector("progress");
  const note = working.querySelector(".note");
  const told = section.querySelector("[role=status]");
  const results = section.querySelector(".results");
  const contract = contractOf(recordForm);
  const limits = { records: Number(form.dataset.maxRecords), bytes: Number(form.dataset.maxBytes) };
  let running = null;
  let link = null;

  async function run(file) {
    running?.abort();
    const control = (running = new AbortController());
    const work = new Prediction(form.dataset.url, limits, control.signal, (seconds) => {
      note.textContent = `The service is busy: going on in ${plural(Math.ceil(seconds), "second")}.`;
    });
    let next = TOLD_EVERY;
    results.hidden = true;
    working.hidden = false;
    bar.value = 0;
    note.textContent = "";
    told.textContent = `Predicting ${file.name}`;

    async function predictAll() {
      const rows = rowsIn(file);
      const separator = (await rows.next()).value?.[0];
      const header = (await rows.next()).value?.[0];
      if (!header) throw new TableError("The file is empty.");
      work.begin(header.map((name) => name.trim()), separator, contract);
      for await (const [cells, bytes] of rows) {
        const before = work.rows;
        await work.take(cells);
        if (work.rows === before) continue;
        bar.value = bytes / file.size;
        note.textContent = `${plural(work.rows, "row")}${work.faulty ? `, ${count(work.faulty)} faulty` : ""}`;
        if (bar.value * 100 >= next) {
          told.textContent = `${Math.floor(bar.value * 100)} % done, ${note.textContent}`;
          next = Math.floor(bar.value * 100) + TOLD_EVERY;
        }
      }
      await work.predict();
      if (!work.rows) throw new TableError("The table has no row below its header.");
    }

    let problem = "";
    try {
      await predictAll();
    } catch (error) {
      if (control.signal.aborted) problem = "Cancelled.";
      else if (error instanceof TableError || error instanceof DOMException) problem = error.message;
      else throw error;
    } finally {
      if (running === control) {
        working.hidden = true;
        running = null;
      }
    }
    if (running === null) show(work, file, problem);
  }

  function show(work, file, problem) {
    const done = `${plural(work.rows, "row")} of ${file.name}, ${work.faulty ? count(work.faulty) : "none"} faulty`;
    const blob = work.rows ? work.result() : null;
    results.classList.toggle("stopped", problem !== "");
    results.querySelector(".problem-text").textContent = problem;
    results.querySelector(".done").textContent = work.rows ? `${done}.` : "";
    results.querySelector(".counts").textContent = [...work.labels]
      .sort(([, one], [, other]) => other - one)
      .slice(0, 5)
      .map(([label, number]) => `${label}: ${count(number)}`)
      .join(" · ");
    if (link) URL.revokeObjectURL(link);
    link = blob && URL.createObjectURL(blob);
    const anchor = results.querySelector("a");
    anchor.hidden = !blob;
    if (blob) {
      anchor.href = link;
      anchor.download = `${file.name.replace(/\.[^.]*$/, "")}-predictions.csv`;
    }
    const list = results.querySelector("ul");
    list.replaceChildren(
      ...work.faults.map(({ row, error }) => {
        const item = document.createElement("li");
        item.textContent = `Row ${count(row)}: ${error}`;
        return item;
      }),
    );
    const more = work.faulty - work.faults.length;
    results.querySelector(".faults").hidden = !work.faulty;
    results.querySelector(".more").textContent = more > 0 ? `And ${plural(more, "more faulty row")}, each with its reason in the table.` : "";
    results.hidden = false;
    told.textContent = problem || `Done: ${done}.`;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.files.length) run(input.files[0]);
  });
  working.querySelector("button").addEventListener("click", () => running?.abort());

  const holdsFile = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    section.classList.add("aimed");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) section.classList.remove("aimed");
  });
  document.addEventListener("drop", (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    section.classList.remove("aimed");
    const [file] = event.dataTransfer.files;
    if (!file) return;
    section.scrollIntoView({ block: "nearest" });
    run(file);
  });
}
