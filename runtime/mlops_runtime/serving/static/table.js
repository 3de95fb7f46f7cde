// Uploads a table, shows the progress of its predictions, and offers the table with predictions as a download.
//
// The service reads the table. It answers with lines of JSON: each has some lines of the resulting table, the
// number of rows so far, and the first faults.

const MAX_TRIES = 30;
const MAX_WAIT_SECONDS = 60;
const MAX_LISTED_FAULTS = 10;
const MAX_LISTED_LABELS = 5;
const BUSY = [429, 502, 503, 504];
/** Per cent of progress between two announcements to a screen reader. */
const ANNOUNCE_EVERY = 20;

class TableError extends Error {}

/** Wait some seconds, or until the signal aborts. */
function wait(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** Return the response to an upload; while the service is busy, try again. */
async function upload(form, file, signal, onWait) {
  for (let tries = 1; ; tries++) {
    const body = new FormData();
    body.append("table", file, file.name);
    let seconds = Math.min(2 ** tries / 2, MAX_WAIT_SECONDS);
    try {
      const response = await fetch(form.action, { method: "POST", headers: { Accept: "application/x-ndjson" }, body, signal });
      if (response.ok) return response;
      if (!BUSY.includes(response.status)) {
        const problem = await response.json().catch(() => ({}));
        throw new TableError(problem.detail ?? `The service answered with status ${response.status}.`);
      }
      const retryAfter = Number.parseInt(response.headers.get("Retry-After"), 10);
      if (retryAfter >= 0) seconds = Math.min(retryAfter, MAX_WAIT_SECONDS);
    } catch (error) {
      // fetch throws a TypeError if there is no response: the service may be starting.
      if (!(error instanceof TypeError)) throw error;
    }
    if (tries === MAX_TRIES) throw new TableError("The service does not answer: try again later.");
    onWait(seconds);
    await wait(seconds, signal);
  }
}

/** Yield the JSON of each line of a response. */
async function* jsonLines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

/** The part of the table that has been predicted. */
class Predicted {
  rows = 0;
  faulty = 0;
  faults = [];
  labels = new Map();
  parts = [];
  done = false;

  add({ csv, rows, faulty, faults, labels, problem, done }) {
    this.parts.push(csv);
    Object.assign(this, { done, problem });
    if (rows) Object.assign(this, { rows, faulty });
    this.faults.push(...faults.slice(0, MAX_LISTED_FAULTS - this.faults.length));
    for (const [label, number] of Object.entries(labels)) this.labels.set(label, (this.labels.get(label) ?? 0) + number);
  }
}

const count = (number) => number.toLocaleString("en");
const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** Return an element for a text of the table, whose script may run from right to left. */
function isolated(text) {
  const element = document.createElement("bdi");
  element.textContent = text;
  return element;
}

/** Predict tables without leaving the page. */
export function serveTables(section) {
  const form = section.querySelector("form");
  const input = form.querySelector("input[type=file]");
  const working = section.querySelector(".working");
  const bar = working.querySelector("progress");
  const note = working.querySelector(".note");
  const announcement = section.querySelector("[role=status]");
  const results = section.querySelector(".results");
  let running = null;
  let link = null;

  async function run(file) {
    running?.abort();
    const control = (running = new AbortController());
    const predicted = new Predicted();
    results.hidden = true;
    working.hidden = false;
    bar.removeAttribute("value");
    note.textContent = "Uploading";
    announcement.textContent = `Predicting ${file.name}`;
    let problem = "";
    try {
      await predict(file, predicted, control.signal);
      problem = predicted.problem;
    } catch (error) {
      if (control.signal.aborted) problem = "Cancelled.";
      else if (error instanceof TypeError) problem = "The connection was lost: try again.";
      else if (error instanceof TableError) problem = error.message;
      else throw error;
    } finally {
      if (running === control) {
        working.hidden = true;
        running = null;
      }
    }
    if (running === null) show(predicted, file, problem);
  }

  async function predict(file, predicted, signal) {
    const response = await upload(form, file, signal, (seconds) => {
      note.textContent = `The service is busy: trying again in ${plural(Math.ceil(seconds), "second")}`;
    });
    let next = ANNOUNCE_EVERY;
    for await (const batch of jsonLines(response)) {
      predicted.add(batch);
      bar.value = batch.progress;
      note.textContent = `${plural(predicted.rows, "row")}${predicted.faulty ? `, ${count(predicted.faulty)} faulty` : ""}`;
      const percent = Math.floor(batch.progress * 100);
      if (percent >= next) {
        announcement.textContent = `${percent} % done, ${note.textContent}`;
        next = percent + ANNOUNCE_EVERY;
      }
    }
    if (!predicted.done) throw new TableError("The connection was lost: try again.");
  }

  function show(predicted, file, problem) {
    const { rows, faulty, faults, labels } = predicted;
    const outcome = `${faulty ? count(faulty) : "none"} faulty`;
    results.querySelector(".problem-text").textContent = problem;
    results.querySelector(".done").replaceChildren(...(rows ? [`${plural(rows, "row")} of `, isolated(file.name), `, ${outcome}.`] : []));
    const counts = [...labels].sort(([, one], [, other]) => other - one).slice(0, MAX_LISTED_LABELS);
    results.querySelector(".counts").replaceChildren(
      ...counts.flatMap(([label, number], index) => [index ? " · " : "", isolated(label), `: ${count(number)}`]),
    );
    if (link) URL.revokeObjectURL(link);
    link = rows ? URL.createObjectURL(new Blob(predicted.parts, { type: "text/csv" })) : null;
    const anchor = results.querySelector("a");
    anchor.hidden = !rows;
    if (link) {
      anchor.href = link;
      anchor.download = `${file.name.replace(/\.[^.]*$/, "")}-predictions.csv`;
    }
    results.querySelector("ul").replaceChildren(
      ...faults.map(([row, error]) => {
        const item = document.createElement("li");
        item.textContent = `Row ${count(row)}: ${error}`;
        return item;
      }),
    );
    const more = faulty - faults.length;
    results.querySelector(".faults").hidden = !faulty;
    results.querySelector(".more").textContent = more > 0 ? `${plural(more, "more faulty row")}: the table says why.` : "";
    results.hidden = false;
    announcement.textContent = problem || `Done: ${results.querySelector(".done").textContent}`;
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
    section.classList.add("drop-target");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) section.classList.remove("drop-target");
  });
  document.addEventListener("drop", (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    section.classList.remove("drop-target");
    const [file] = event.dataTransfer.files;
    if (!file) return;
    section.scrollIntoView({ block: "nearest" });
    run(file);
  });
}
