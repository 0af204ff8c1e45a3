import { expect, test } from "vitest";

import { NO_POLICY, NOTHING, placeErrors, toCreate, toPatch, type Values } from "./values";

const BEFORE: Values = {
  ...NOTHING,
  omit: ["data.chunks"],
  delivery: {
    call: { ...NO_POLICY, maxAge: 30, latest: true },
    sms: { ...NO_POLICY, latest: true },
  },
};

test("what is left as it was is not sent", () => {
  expect(toPatch(BEFORE, { ...BEFORE, omit: [...BEFORE.omit] })).toEqual({});
});

test("a policy's part that is gone is null, and so is a whole group's", () => {
  const delivery = { call: { ...NO_POLICY, maxAge: 60 }, sms: NO_POLICY };
  expect(toPatch(BEFORE, { ...BEFORE, delivery, omit: [] })).toEqual({
    omit: [],
    delivery: { call: { maxAge: 60, keep: null }, sms: null },
  });
});

test("retries are the service's, none, or seconds", () => {
  const delivery = {
    call: { ...NO_POLICY, retries: "none" as const },
    chat: { ...NO_POLICY, retries: "own" as const, retryDelays: "5, 300;3600" },
    sms: NO_POLICY,
  };
  expect(toCreate({ ...NOTHING, delivery }).delivery).toEqual({
    call: { retryDelays: [] },
    chat: { retryDelays: [5, 300, 3600] },
  });
});

test("the service's errors stand at the field of their group", () => {
  const message = "Send at most 3 delays.";
  const placed = placeErrors([
    { path: "delivery.call.retryDelays", message },
    { path: "omit[2]", message },
    { path: "nobody", message },
  ]);
  expect(placed.errors).toEqual({ "delivery.call": message, omit: `omit[2]: ${message}` });
  expect(placed.others.map(({ path }) => path)).toEqual(["nobody"]);
});
