// Recent predictions, stored in this browser only and never sent.

const MAX_STORED = 50;

/** Return the entries that are stored under a name; none if storage is forbidden or has something else. */
function stored(name) {
  try {
    const entries = JSON.parse(localStorage.getItem(name));
    return Array.isArray(entries) ? entries.filter((entry) => entry?.texts && typeof entry.headline === "string") : [];
  } catch {
    // Storage is forbidden, or its content is no JSON: there is no history.
    return [];
  }
}

/** Store entries under a name, without the oldest ones if the browser has no room for all. */
function store(name, entries) {
  for (let number = MAX_STORED; number >= 1; number = Math.floor(number / 2)) {
    try {
      localStorage.setItem(name, JSON.stringify(entries.slice(0, number)));
      return;
    } catch {
      // There is no room: half of the entries are tried. If storage is forbidden, nothing is stored.
    }
  }
}

/** Return the inputs of the form by name. */
function inputsOf(form) {
  return new Map([...form.querySelectorAll(".field :is(input, select, textarea)")].map((input) => [input.name, input]));
}

/** Fill the form with the record of an entry: its texts for the inputs that the form has. */
function fill(form, texts) {
  for (const [name, input] of inputsOf(form)) input.value = texts[name] ?? "";
  form.scrollIntoView({ block: "start" });
  form.querySelector(".field :is(input, select, textarea)").focus({ preventScroll: true });
}

/** Show recent predictions, and add the one that the page shows. */
export function serveHistory(section, form, prediction) {
  const name = `predictions: ${section.dataset.name}`;
  const list = section.querySelector("tbody");

  function show() {
    const entries = stored(name);
    section.hidden = !entries.length;
    list.replaceChildren(
      ...entries.map((entry) => {
        const row = section.querySelector("template").content.cloneNode(true);
        const moment = new Date(entry.at);
        row.querySelector("time").dateTime = entry.at;
        row.querySelector("time").textContent = moment.toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
        row.querySelector(".stored-headline").textContent = entry.headline;
        row.querySelector(".words").textContent = entry.words;
        const button = row.querySelector("button");
        button.setAttribute("aria-label", `Use again: ${row.querySelector("time").textContent}, ${entry.headline}`);
        button.addEventListener("click", () => fill(form, entry.texts));
        return row;
      }),
    );
  }

  if (prediction) {
    const texts = Object.fromEntries([...inputsOf(form)].map(([key, input]) => [key, input.value]));
    const { headline, words } = prediction.dataset;
    const entries = stored(name);
    const [last] = entries;
    // Loading the page again makes no new prediction.
    const again = last && last.headline === headline && JSON.stringify(last.texts) === JSON.stringify(texts);
    if (!again) store(name, [{ at: new Date().toISOString(), headline, words, texts }, ...entries]);
  }
  section.querySelector(".clear").addEventListener("click", () => {
    localStorage.removeItem(name);
    show();
    form.querySelector(".field :is(input, select, textarea)").focus();
  });
  show();
}
