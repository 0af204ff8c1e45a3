// Numbers, durations and JSON as pages show them.

export function milliseconds(language: string, value: number): string {
  const [amount, unit] = value < 1_000 ? [value, "millisecond"] : [value / 1_000, "second"];
  return new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits: 1 }).format(
    amount,
  );
}

/** Indent a JSON text; return what is no JSON as it is. */
export function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** A moment of the API as an `<input type="datetime-local">` takes it: the viewer's zone, to the minute. */
export function toLocalInput(moment: string | undefined): string {
  if (moment === undefined || Number.isNaN(Date.parse(moment))) return "";
  const at = new Date(moment);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** Undefined for none, and while a date is half typed: a year of six digits is none yet. */
export function fromLocalInput(value: string): string | undefined {
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : new Date(at).toISOString();
}
