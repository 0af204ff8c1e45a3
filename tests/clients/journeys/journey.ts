// What a user of the generated TypeScript client does in a day; prints what it saw, as JSON.
import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";

import { createClient } from "./client/client/index.js";
import {
  createIntegration,
  deleteIntegration,
  getCurrentKey,
  getDelivery,
  getEvent,
  getIntegration,
  getIntegrationStatistics,
  getStatistics,
  getStatisticsByIntegration,
  listDeliveries,
  listEventTypes,
  listIntegrations,
  putPbx,
  retryDelivery,
  rotateIntegrationSecret,
  sendEvent,
  sendEventBatch,
  streamDeliveries,
  testIntegration,
  updateIntegration,
} from "./client/sdk.gen.js";
import type { BatchResult, Delivery, Integration, EventCreate, Webhooks } from "./client/types.gen.js";

const PBX = "000000000001";
const PATIENCE = 30_000; // milliseconds

function setting(name: string): string {
  const value = process.env[name];
  assert(value !== undefined, `${name} is not set`);
  return value;
}

const client = createClient({ baseUrl: setting("HOOKLINE"), auth: setting("KEY") });

async function createWebhook(): Promise<Integration> {
  const { data, error } = await createIntegration({
    client,
    body: {
      name: "CRM",
      pbx: PBX,
      transmission: { type: "WEBHOOK", url: setting("TARGET") },
      events: { call: "all", analytics: ["call:completed"] },
    },
  });
  assert(data, JSON.stringify(error));
  return data;
}

async function createQueue(): Promise<Integration> {
  const { data, error } = await createIntegration({
    client,
    body: {
      name: "Warehouse",
      pbx: PBX,
      transmission: {
        type: "AWS_SQS",
        url: "https://sqs.eu-central-1.amazonaws.com/123456789012/pbx-events",
        accessKeyId: "AKIAIOSFODNN7EXAMPLE",
        secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
      },
      events: { chat: "all" },
    },
  });
  assert(data, JSON.stringify(error));
  return data;
}

async function currentRole(): Promise<string> {
  const { data } = await getCurrentKey({ client, throwOnError: true });
  return data.role;
}

async function groups(): Promise<string[]> {
  const { data } = await listEventTypes({ client, throwOnError: true });
  return data.groups.map((group) => group.name);
}

function accessKeyId({ transmission }: Integration): string {
  assert(transmission.type === "AWS_SQS");
  return transmission.accessKeyId;
}

async function wrongFields(): Promise<string[]> {
  const { error } = await createIntegration({
    client,
    body: {
      name: "CRM",
      pbx: PBX,
      transmission: { type: "WEBHOOK", url: "https://user:word@crm.example.com/hook" },
      events: { call: ["call:nonsense"] },
    },
  });
  assert(error && "errors" in error, JSON.stringify(error));
  return error.errors.map((each) => each.path);
}

async function pages(): Promise<string[][]> {
  const seen: string[][] = [];
  let cursor: string | undefined;
  do {
    const query = { limit: 1, ...(cursor === undefined ? {} : { cursor }) };
    const { data } = await listIntegrations({ client, query, throwOnError: true });
    seen.push(data.items.map((integration) => integration.name));
    cursor = data.next ?? undefined;
  } while (cursor !== undefined);
  return seen;
}

async function searched(): Promise<string[]> {
  const { data } = await listIntegrations({ client, query: { search: "wareH" }, throwOnError: true });
  return data.items.map((integration) => integration.name);
}

async function secrets({ id, transmission }: Integration): Promise<Record<string, boolean>> {
  assert(transmission.type === "WEBHOOK");
  const { data } = await rotateIntegrationSecret({
    client,
    path: { integrationId: id },
    body: { gracePeriodHours: 1 },
    throwOnError: true,
  });
  return {
    shownOnce: transmission.secret?.length === 32,
    replaced: data.secret !== transmission.secret,
    oldSignsAlong: data.oldSecretUntil !== null,
  };
}

function anEvent(id: string): EventCreate {
  return {
    id,
    pbx: PBX,
    company: "it_w000001",
    time: 1721836787753,
    type: "call:completed",
    data: { direction: "inbound" },
  };
}

function told(result: BatchResult): string {
  switch (result.status) {
    case "accepted":
    case "duplicate":
      assert(result.eventId);
      return result.status;
    case "invalid":
      return `invalid: ${result.error?.type}`;
  }
}

async function batch(): Promise<string[]> {
  const events = [anEvent("one"), anEvent("one"), anEvent("")];
  const { data } = await sendEventBatch({ client, body: { events }, throwOnError: true });
  return data.results.map(told);
}

async function sendTest({ id }: Integration): Promise<unknown[]> {
  const { data } = await testIntegration({
    client,
    path: { integrationId: id },
    body: { type: "call:completed" },
    throwOnError: true,
  });
  return [data.attempt.outcome, data.attempt.statusCode, data.headers["webhook-attempt"]];
}

async function retry(webhook: Integration): Promise<Record<string, unknown>> {
  const options = { client, throwOnError: true } as const;
  const { data: receipt } = await sendEvent({ ...options, body: anEvent("two") });
  const { data: record } = await getEvent({ ...options, path: { eventId: receipt.eventId } });
  const deliveryId = record.outcomes.find((each) => each.deliveryId !== null)?.deliveryId;
  assert(deliveryId);
  await delivered(deliveryId, 1);
  await retryDelivery({ ...options, path: { deliveryId } });
  const last = await delivered(deliveryId, 2);
  await count(webhook);
  await follow(webhook);
  const { data: listed } = await listDeliveries({
    ...options,
    query: { integrationId: webhook.id, status: ["delivered"] },
  });
  return {
    status: last.status,
    attempts: last.attempts.map((attempt) => attempt.outcome),
    listed: listed.items.some((delivery) => delivery.id === last.id),
  };
}

/** Ask until so many attempts have ended. */
async function delivered(deliveryId: string, attempts: number): Promise<Delivery> {
  const until = Date.now() + PATIENCE;
  while (Date.now() < until) {
    const { data } = await getDelivery({ client, path: { deliveryId }, throwOnError: true });
    if (data.status === "delivered" && data.attempts.length >= attempts) {
      return data;
    }
    await setTimeout(20);
  }
  throw new Error(`${deliveryId} was not delivered within ${PATIENCE} ms`);
}

/** Read how deliveries went: what was delivered twice by hand has ended twice. */
async function count({ id }: Integration): Promise<void> {
  const options = { client, throwOnError: true } as const;
  const { data: ofOne } = await getIntegrationStatistics({ ...options, path: { integrationId: id } });
  const { data: ofAll } = await getStatistics({ ...options, query: { pbx: PBX, interval: "day" } });
  for (const { buckets } of [ofOne, ofAll]) {
    assert(buckets.reduce((sum, bucket) => sum + bucket.delivered, 0) >= 2);
    assert(buckets.some((bucket) => bucket.attemptMs.p50 !== null));
  }
  const { data: each } = await getStatisticsByIntegration({
    ...options,
    query: { integrationId: [id] },
  });
  assert(each.items[0]?.delivered.some((count) => count > 0));
}

/** Read along until a delivery has ended. */
async function follow({ id }: Integration): Promise<void> {
  const leaving = new AbortController();
  const query = { integrationId: id };
  const { stream } = await streamDeliveries({ client, query, signal: leaving.signal });
  const first = stream.next();
  let ended: IteratorResult<Delivery> | undefined;
  for (let number = 0; ended === undefined; number += 1) {
    assert(number < 200, "nothing came");
    await sendEvent({ client, body: anEvent(`stream ${number}`), throwOnError: true });
    ended = (await Promise.race([first, setTimeout(100)])) as IteratorResult<Delivery> | undefined;
  }
  assert(ended.done !== true);
  assert.deepEqual([ended.value.integrationId, ended.value.status], [id, "delivered"]);
  leaving.abort();
}

async function change({ id }: Integration): Promise<unknown[]> {
  const path = { integrationId: id };
  const read = await getIntegration({ client, path, throwOnError: true });
  const headers = { "If-Match": read.response.headers.get("etag") ?? "" };
  const body = { enabled: false, rateLimit: 5 };
  const { data } = await updateIntegration({ client, path, headers, body, throwOnError: true });
  const { error } = await updateIntegration({ client, path, headers, body });
  return [data.enabled, data.rateLimit, data.health.disabledReason, error?.type];
}

async function gone({ id }: Integration): Promise<unknown[]> {
  const path = { integrationId: id };
  const deleted = await deleteIntegration({ client, path, throwOnError: true });
  const { error } = await getIntegration({ client, path });
  return [deleted.response.status, error?.status, error?.type];
}

async function describe(): Promise<unknown[]> {
  const path = { pbx: "000000000002" };
  const body = { company: "it_w000001", license: "x-bees" as const, retentionDays: 7 };
  const { data } = await putPbx({ client, path, body, throwOnError: true });
  return [data.pbx, data.license, data.retentionDays];
}

/** What a receiver writes: the type of the event tells what its data holds. */
export function lineOf(event: Webhooks["body"]): string {
  switch (event.type) {
    case "call:completed":
      return `${event.data.flows[0]?.caller?.phone ?? "somebody"} called`;
    case "presence:telephony":
      return `${event.data.extension} is ${event.data.status}`;
    default:
      return event.type;
  }
}

const webhook = await createWebhook();
const queue = await createQueue();
const seen = {
  key: await currentRole(),
  groups: await groups(),
  accessKeyId: accessKeyId(queue),
  wrong: await wrongFields(),
  pages: await pages(),
  searched: await searched(),
  secrets: await secrets(webhook),
  batch: await batch(),
  test: await sendTest(webhook),
  retried: await retry(webhook),
  changed: await change(webhook),
  after: await gone(queue),
  pbx: await describe(),
};
process.stdout.write(JSON.stringify(seen));
