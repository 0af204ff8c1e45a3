// Which events an integration gets: group → "all" (types added later too) or a list of types.
import type { EventGroup, EventSelection } from "../client";

/** `all`: also future types; `each`: every one of today's; then some, then none. */
export type GroupState = "all" | "each" | "some" | "none";

export function groupState(selection: EventSelection, group: EventGroup): GroupState {
  const choice = selection[group.name];
  if (choice === undefined || choice.length === 0) return "none";
  if (choice === "all") return "all";
  return group.types.every((type) => choice.includes(type.name)) ? "each" : "some";
}

export function isChosen(selection: EventSelection, group: EventGroup, type: string): boolean {
  const choice = selection[group.name];
  return choice === "all" || (choice?.includes(type) ?? false);
}

/** Choose a whole group with its future types, or nothing of it where all of it was chosen. */
export function toggleGroup(selection: EventSelection, group: EventGroup): EventSelection {
  const state = groupState(selection, group);
  return withChoice(selection, group, state === "all" || state === "each" ? [] : "all");
}

/** Choose one type or take it out; without one of today's types a group's future ones go too. */
export function toggleType(
  selection: EventSelection,
  group: EventGroup,
  type: string,
): EventSelection {
  const choice = selection[group.name] ?? [];
  const listed = choice === "all" ? group.types.map(({ name }) => name) : choice;
  const next = listed.includes(type) ? listed.filter((name) => name !== type) : [...listed, type];
  return withChoice(selection, group, inOrder(group, next));
}

/** Add the types that the group will get later, and so all of today's; or leave just today's. */
export function toggleFuture(selection: EventSelection, group: EventGroup): EventSelection {
  const today = group.types.map(({ name }) => name);
  return withChoice(selection, group, selection[group.name] === "all" ? today : "all");
}

export function isEmpty(selection: EventSelection): boolean {
  return Object.values(selection).every((choice) => choice.length === 0);
}

function withChoice(
  selection: EventSelection,
  group: EventGroup,
  choice: EventSelection[string],
): EventSelection {
  const next = { ...selection };
  if (choice.length === 0) delete next[group.name];
  else next[group.name] = choice;
  return next;
}

function inOrder(group: EventGroup, types: string[]): string[] {
  const known = group.types.map(({ name }) => name).filter((name) => types.includes(name));
  return [...known, ...types.filter((name) => !known.includes(name))];
}
