import { expect, test } from "vitest";

import guide from "../../../docs/receivers.md?raw";
import { receivers } from "./Snippets";

test("the guide has a receiver in each of six languages", () => {
  const found = receivers(guide);
  expect(found.map(({ language }) => language)).toEqual([
    "Python",
    "Node",
    "Go",
    "PHP",
    "Java",
    "C#",
  ]);
  for (const { program } of found) expect(program.toLowerCase()).toContain("hmac");
});
