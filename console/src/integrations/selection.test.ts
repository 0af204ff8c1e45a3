import { expect, test } from "vitest";

import type { EventGroup } from "../client";
import { groupState, isChosen, isEmpty, toggleFuture, toggleGroup, toggleType } from "./selection";

const GROUP = { name: "call", types: [{ name: "a" }, { name: "b" }] } as unknown as EventGroup;

test("a group's box chooses the whole group with its future types, then nothing", () => {
  const all = toggleGroup({}, GROUP);
  expect(all).toEqual({ call: "all" });
  expect(groupState(all, GROUP)).toBe("all");
  expect(toggleGroup(all, GROUP)).toEqual({});
});

test("taking one type out of a whole group leaves the others of today", () => {
  const rest = toggleType({ call: "all" }, GROUP, "a");
  expect(rest).toEqual({ call: ["b"] });
  expect(groupState(rest, GROUP)).toBe("some");
  expect(isChosen(rest, GROUP, "a")).toBe(false);
});

test("every type of today is told apart from all, also future ones", () => {
  const each = toggleType({ call: ["b"] }, GROUP, "a");
  expect(each).toEqual({ call: ["a", "b"] });
  expect(groupState(each, GROUP)).toBe("each");
  expect(toggleFuture(each, GROUP)).toEqual({ call: "all" });
  expect(toggleFuture({ call: "all" }, GROUP)).toEqual({ call: ["a", "b"] });
});

test("without its last type a group is not chosen, and the selection may be empty", () => {
  const none = toggleType({ call: ["a"] }, GROUP, "a");
  expect(none).toEqual({});
  expect(isEmpty(none)).toBe(true);
});

test("a type that the catalogue does not list yet is kept", () => {
  expect(toggleType({ call: ["x"] }, GROUP, "b")).toEqual({ call: ["b", "x"] });
});
