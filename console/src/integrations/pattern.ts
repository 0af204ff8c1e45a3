// Rows of field, operator and value, as the filter builder shows them, to and from an event pattern.

export const OPERATORS = [
  "is",
  "prefix",
  "suffix",
  "equals-ignore-case",
  "wildcard",
  "anything-but",
  ">=",
  "<=",
  ">",
  "<",
  "=",
  "exists",
  "missing",
] as const;
export type Operator = (typeof OPERATORS)[number];

export interface Condition {
  readonly field: string; // a path such as data.flows.direction
  readonly operator: Operator;
  readonly value: string;
}

export type Pattern = { [key: string]: unknown };

const TEXTS = new Set<string>([
  "prefix",
  "suffix",
  "equals-ignore-case",
  "wildcard",
  "anything-but",
]);
const COMPARISONS = new Set<string>([">=", "<=", ">", "<", "="]);

/** All rows must match; of rows with the same field, one. A row without a field is left out. */
export function toPattern(conditions: readonly Condition[]): Pattern | null {
  const pattern: Pattern = {};
  for (const condition of conditions) {
    const steps = condition.field.trim().split(".").filter(Boolean);
    const last = steps.pop();
    if (last === undefined) continue;
    let place = pattern;
    for (const step of steps) {
      const next = place[step];
      place = isPattern(next) ? next : ((place[step] = {}) as Pattern);
    }
    const alternatives = place[last];
    place[last] = [...(Array.isArray(alternatives) ? alternatives : []), alternativeOf(condition)];
  }
  return Object.keys(pattern).length === 0 ? null : pattern;
}

/** Return the rows of a pattern, or null where it says more than rows can. */
export function toConditions(pattern: Pattern, path: readonly string[] = []): Condition[] | null {
  const conditions: Condition[] = [];
  for (const [key, value] of Object.entries(pattern)) {
    if (key === "$or" || key.includes(".")) return null;
    const field = [...path, key];
    const found = Array.isArray(value)
      ? value.map((alternative) => conditionOf(field.join("."), alternative))
      : isPattern(value)
        ? toConditions(value, field)
        : null;
    if (found === null) return null;
    for (const condition of found) {
      if (condition === null) return null;
      conditions.push(condition);
    }
  }
  return conditions;
}

function alternativeOf({ operator, value }: Condition): unknown {
  if (operator === "is") return literalOf(value);
  if (operator === "exists" || operator === "missing") return { exists: operator === "exists" };
  if (COMPARISONS.has(operator)) return { numeric: [operator, Number(value)] };
  return { [operator]: value };
}

function conditionOf(field: string, alternative: unknown): Condition | null {
  if (!isPattern(alternative)) {
    const value =
      typeof alternative === "string" ? textOf(alternative) : JSON.stringify(alternative);
    return { field, operator: "is", value };
  }
  const [[operator, operand] = [], ...others] = Object.entries(alternative);
  if (others.length > 0 || operator === undefined) return null;
  if (operator === "exists") return { field, operator: operand ? "exists" : "missing", value: "" };
  if (operator === "numeric" && Array.isArray(operand) && operand.length === 2) {
    const [comparison, number] = operand;
    return isOperator(comparison) ? { field, operator: comparison, value: String(number) } : null;
  }
  if (TEXTS.has(operator) && isOperator(operator) && typeof operand === "string") {
    return { field, operator, value: operand };
  }
  return null;
}

/** `true`, `false` and `null` are themselves, and so are numbers; quotes make a text of them. */
function literalOf(value: string): unknown {
  if (/^(?:true|false|null|-?\d+(?:\.\d+)?|"[^"]*")$/.test(value)) {
    try {
      return JSON.parse(value);
    } catch {
      return value; // such as 0039, which is no JSON number
    }
  }
  return value;
}

function textOf(text: string): string {
  return typeof literalOf(text) === "string" && literalOf(text) === text
    ? text
    : JSON.stringify(text);
}

function isOperator(value: unknown): value is Operator {
  return OPERATORS.some((operator) => operator === value);
}

function isPattern(value: unknown): value is Pattern {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The paths of all values in some events, for suggestions; `*` stands for an array's elements. */
export function pathsOf(events: readonly unknown[], withStars: boolean): string[] {
  const found = new Set<string>();
  const visit = (value: unknown, path: readonly string[]): void => {
    if (Array.isArray(value)) {
      if (withStars && path.length > 0) found.add(path.join("."));
      for (const element of value) visit(element, withStars ? [...path, "*"] : path);
    } else if (isPattern(value)) {
      for (const [key, inner] of Object.entries(value)) visit(inner, [...path, key]);
    } else if (path.length > 0 && path.at(-1) !== "*") {
      found.add(path.join("."));
    }
  };
  for (const event of events) visit(event, []);
  return [...found].sort();
}

/** What administrators ask for most: a type of event, and which of them. */
export const RECIPES = {
  missed: {
    group: "analytics",
    type: "call:completed",
    rows: [
      { field: "data.flows.direction", operator: "is", value: "INBOUND" },
      { field: "data.flows.talkTime", operator: "=", value: "0" },
      { field: "data.flows.talkTime", operator: "missing", value: "" },
    ],
  },
  inbound: {
    group: "analytics",
    type: "call:completed",
    rows: [{ field: "data.flows.direction", operator: "is", value: "INBOUND" }],
  },
  external: {
    group: "analytics",
    type: "call:completed",
    rows: [{ field: "data.flows.direction", operator: "anything-but", value: "INTERNAL" }],
  },
  long: {
    group: "analytics",
    type: "call:completed",
    rows: [{ field: "data.flows.talkTime", operator: ">=", value: "10000" }],
  },
} as const satisfies Record<string, { group: string; type: string; rows: Condition[] }>;
export type Recipe = keyof typeof RECIPES;
