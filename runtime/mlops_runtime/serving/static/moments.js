// Dates and times as the training table writes them, in the codes of strftime.

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const CODES = {
  "%Y": "(?<year>\\d{4})",
  "%y": "(?<short>\\d{2})",
  "%m": "(?<month>\\d{1,2})",
  "%b": `(?<name>${MONTHS.join("|")})`,
  "%d": "(?<day>\\d{1,2})",
  "%H": "(?<hour>\\d{1,2})",
  "%I": "(?<hour>\\d{1,2})",
  "%M": "(?<minute>\\d{1,2})",
  "%S": "(?<second>\\d{1,2})",
  "%p": "(?<half>[ap]m)",
};

const two = (number) => String(number).padStart(2, "0");

/** Return the year of a date; as POSIX has it, 69 to 99 are of the last century. */
function yearOf({ year, short }) {
  return Number(year ?? (Number(short) >= 69 ? `19${short}` : `20${short}`));
}

/** Return the hour of a time, of half a day or of a whole one. */
function hourOf({ hour, half }) {
  return half ? (Number(hour) % 12) + (half.toLowerCase() === "pm" ? 12 : 0) : Number(hour);
}

/** Return a function that writes a date or time as ISO 8601 does, and leaves alone what is in another form. */
export function isoWriter(written) {
  const parts = written.split(/(%[A-Za-z])/).map((part) => CODES[part] ?? part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(`^${parts.join("")}$`, "i");
  return (text) => {
    const found = text.match(pattern)?.groups;
    if (!found) return text;
    const month = found.name ? MONTHS.indexOf(found.name.toLowerCase()) + 1 : found.month;
    const date = found.day && `${String(yearOf(found)).padStart(4, "0")}-${two(month)}-${two(found.day)}`;
    const time = found.hour && `${two(hourOf(found))}:${two(found.minute)}:${two(found.second ?? 0)}`;
    return [date, time].filter(Boolean).join("T");
  };
}
