import { expect, test } from "vitest";

import { type Condition, pathsOf, RECIPES, toConditions, toPattern } from "./pattern";

const CONDITIONS: Condition[] = [
  { field: "data.direction", operator: "is", value: "INBOUND" },
  { field: "data.duration", operator: ">=", value: "10" },
  { field: "data.flows.extension", operator: "is", value: '"230"' },
  { field: "data.flows.extension", operator: "prefix", value: "24" },
  { field: "data.missed", operator: "is", value: "true" },
  { field: "data.tags", operator: "missing", value: "" },
];
const PATTERN = {
  data: {
    direction: ["INBOUND"],
    duration: [{ numeric: [">=", 10] }],
    flows: { extension: ["230", { prefix: "24" }] },
    missed: [true],
    tags: [{ exists: false }],
  },
};

test("rows become a pattern, and a pattern the same rows", () => {
  expect(toPattern(CONDITIONS)).toEqual(PATTERN);
  expect(toConditions(PATTERN)).toEqual(CONDITIONS);
});

test("no rows are no filter", () => {
  expect(toPattern([{ field: " ", operator: "is", value: "x" }])).toBeNull();
});

test.each([
  { $or: [{ a: ["b"] }] },
  { a: [{ numeric: [">", 1, "<", 5] }] },
  { a: [{ "anything-but": ["b", "c"] }] },
  { a: "b" },
])("what rows cannot say is left to the JSON: %j", (pattern) => {
  expect(toConditions(pattern)).toBeNull();
});

test.each(["INBOUND", "0039", "12", "1.5", "true", "null", ""])(
  "a text that looks like %s stays a text",
  (text) => {
    const rows = toConditions({ a: [text] });
    expect(rows && toPattern(rows)).toEqual({ a: [text] });
  },
);

test("paths are suggested as filters and as omissions name them", () => {
  const events = [{ id: "1", data: { flows: [{ caller: { phone: "230" } }], tags: ["a"] } }];
  expect(pathsOf(events, false)).toEqual(["data.flows.caller.phone", "data.tags", "id"]);
  expect(pathsOf(events, true)).toEqual([
    "data.flows",
    "data.flows.*.caller.phone",
    "data.tags",
    "id",
  ]);
});

test.each(Object.values(RECIPES))("rows of the example about $type survive as JSON", ({ rows }) => {
  expect(toConditions(toPattern(rows) ?? {})).toEqual(rows);
});
