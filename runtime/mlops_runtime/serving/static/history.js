// The predictions that were made in this browser: kept in it alone, and never sent.

const MOST_KEPT = 50;

/** Return what is kept under a name; nothing where the browser keeps nothing, or something else. */
function kept(name) {
  try {
    const entries = JSON.parse(localStorage.getItem(name));
    return Array.isArray(entries) ? entries.filter((entry) => entry?.texts && typeof entry.headline === "string") : [];
  } catch {
    // Storage may be forbidden, and what is in it broken: there is no history then.
    return [];
  }
}

/** Keep entries under a name, the oldest ones left out if the browser has no room for all. */
function keep(name, entries) {
  for (let number = MOST_KEPT; number >= 1; number = Math.floor(number / 2)) {
    try {
      localStorage.setItem(name, JSON.stringify(entries.slice(0, number)));
      return;
    } catch {
      // No room: half of them are tried. Where storage is forbidden, nothing is kept.
    }
  }
}

/** Return the controls of the form by the name that they are sent under. */
function controlsOf(form) {
  return new Map([...form.querySelectorAll(".field :is(input, select, textarea)")].map((one) => [one.name, one]));
}

/** Fills the form with the record of an entry, as far as the form has its fields. */
function fill(form, texts) {
  for (const [name, control] of controlsOf(form)) control.value = texts[name] ?? "";
  form.scrollIntoView({ block: "start" });
  form.querySelector(".field :is(input, select, textarea)").focus({ preventScroll: true });
}

/** Shows what was predicted in this browser, and adds the prediction that the page shows. */
export function serveHistory(section, form, prediction) {
  const name = `predictions: ${section.dataset.name}`;
  const list = section.querySelector("tbody");

  function show() {
    const entries = kept(name);
    section.hidden = !entries.length;
    list.replaceChildren(
      ...entries.map((entry) => {
        const row = section.querySelector("template").content.cloneNode(true);
        const moment = new Date(entry.at);
        row.querySelector("time").dateTime = entry.at;
        row.querySelector("time").textContent = moment.toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
        row.querySelector(".headline-kept").textContent = entry.headline;
        row.querySelector(".words").textContent = entry.words;
        const button = row.querySelector("button");
        button.setAttribute("aria-label", `Use again: ${row.querySelector("time").textContent}, ${entry.headline}`);
        button.addEventListener("click", () => fill(form, entry.texts));
        return row;
      }),
    );
  }

  if (prediction) {
    const texts = Object.fromEntries([...controlsOf(form)].map(([key, control]) => [key, control.value]));
    const { headline, words } = prediction.dataset;
    const entries = kept(name);
    const [last] = entries;
    // A page that is loaded again is no new prediction.
    const again = last && last.headline === headline && JSON.stringify(last.texts) === JSON.stringify(texts);
    if (!again) keep(name, [{ at: new Date().toISOString(), headline, words, texts }, ...entries]);
  }
  section.querySelector(".clear").addEventListener("click", () => {
    localStorage.removeItem(name);
    show();
    form.querySelector(".field :is(input, select, textarea)").focus();
  });
  show();
}
