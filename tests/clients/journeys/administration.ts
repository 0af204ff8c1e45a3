// What an administrator does with the generated TypeScript client; prints what it saw, as JSON.
import assert from "node:assert/strict";

import { createClient } from "./client/client/index.js";
import {
  cancelReplay,
  createIntegration,
  createKey,
  deleteEventType,
  deleteIntegration,
  deletePbx,
  getErasure,
  getIntegrationSecret,
  getLiveness,
  getMetrics,
  getPbx,
  getReadiness,
  getReplay,
  getSystem,
  listEventTypes,
  listIntegrations,
  listKeys,
  listErasures,
  listEvents,
  listPbxs,
  listReplays,
  putEventType,
  revokeKey,
  sendEvent,
  startErasure,
  startReplay,
  tryFilter,
} from "./client/sdk.gen.js";

const PBX = "000000000009";
const PARKED = "call:live:parked";

function setting(name: string): string {
  const value = process.env[name];
  assert(value !== undefined, `${name} is not set`);
  return value;
}

const baseUrl = setting("HOOKLINE");
const client = createClient({ baseUrl, auth: setting("KEY") });
const options = { client, throwOnError: true } as const;

async function keys(): Promise<Record<string, unknown>> {
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
  const body = { role: "manager", pbx: PBX, name: "Session", expiresAt } as const;
  const { data: made } = await createKey({ ...options, body });
  const session = createClient({ baseUrl, auth: made.key });
  const opened = await listIntegrations({ client: session, throwOnError: true });
  const revoked = await revokeKey({ ...options, path: { keyId: made.id } });
  const { error } = await listIntegrations({ client: session });
  const query = { pbx: PBX, role: "manager", state: "revoked" } as const;
  const { data: listed } = await listKeys({ ...options, query });
  return {
    opened: opened.data.items.length,
    revoked: revoked.response.status,
    then: error?.type,
    listed: listed.items.filter((key) => key.id === made.id).map((key) => key.name),
  };
}

async function system(): Promise<Record<string, unknown>> {
  const { data } = await getSystem(options);
  return {
    api: data.engines.map((engine) => engine.api)[0],
    current: data.migrations.current === data.migrations.newest,
    pending: data.backlog.pending,
    oldestDue: data.oldestDue,
  };
}

async function types(): Promise<Record<string, unknown>> {
  const example = { id: "1", company: "it_w000009", time: 1, type: PARKED, data: { slot: 71 } };
  await sendEvent({ ...options, body: example });
  const { data: before } = await listEventTypes({ ...options, query: { unknown: true } });
  const path = { type: PARKED };
  const body = { group: "call", title: "Parked", example };
  const { data: added } = await putEventType({ ...options, path, body });
  const { data: after } = await listEventTypes(options);
  const deleted = await deleteEventType({ ...options, path });
  const custom = after.groups.flatMap((group) => group.types).filter((each) => !each.builtIn);
  return {
    unknown: before.unknown
      ?.filter((each) => each.name === PARKED)
      .map((each) => [each.group, each.count]),
    added: [added.group, added.title, added.format, added.builtIn],
    listed: custom.map((each) => each.name),
    deleted: deleted.response.status,
  };
}

async function replays(): Promise<unknown[]> {
  const transmission = { type: "WEBHOOK", url: setting("TARGET") } as const;
  const body = { pbx: PBX, transmission, events: { call: "all" } } as const;
  const { data: integration } = await createIntegration({ ...options, body });
  const path = { integrationId: integration.id };
  const now = Date.now();
  const since = new Date(now - 3_600_000).toISOString();
  const asked = { since, until: new Date(now).toISOString(), missing: true };
  const counted = await startReplay({ ...options, path, body: { ...asked, dryRun: true } });
  const { data: job } = await startReplay({ ...options, path, body: asked });
  assert("complete" in counted.data && "queued" in job);
  await cancelReplay({ ...options, path: { replayId: job.id } });
  const { data: read } = await getReplay({ ...options, path: { replayId: job.id } });
  const { data: listed } = await listReplays({ ...options, path });
  assert.deepEqual(listed.items.map((each) => each.id), [job.id]);
  const gone = await deleteIntegration({ ...options, path });
  return [counted.data.total, read.queued, gone.response.status];
}

async function erasures(): Promise<unknown[]> {
  const { data: job } = await startErasure({ ...options, body: { pbx: PBX, subject: "nobody" } });
  const { data: read } = await getErasure({ ...options, path: { erasureId: job.id } });
  const { data: listed } = await listErasures(options);
  return [read.pbx, read.subject, listed.items.some(({ id }) => id === job.id)];
}

async function reads(): Promise<Record<string, unknown>> {
  const { data: page } = await listIntegrations({ ...options, query: { search: "crm" } });
  const [webhook] = page.items;
  assert(webhook !== undefined);
  const path = { integrationId: webhook.id };
  const { data: secret } = await getIntegrationSecret({ ...options, path });
  const query = { subject: "two" };
  const { data: events } = await listEvents({ ...options, query });
  return {
    secret: secret.secret.length,
    events: events.items.map((each) => each.subject),
    filter: await tryOut(),
    pbxs: await pbxs(),
    health: await health(),
  };
}

async function tryOut(): Promise<unknown[]> {
  const event = { id: "1", company: "it_w000009", time: 1, type: "call:end", data: { x: 1 } };
  const body = { filter: { type: ["call:start"] }, omit: ["data.x"], events: [event] };
  const { data: found } = await tryFilter({ ...options, body });
  return [found.passing, found.items[0]?.refusedBy];
}

async function pbxs(): Promise<unknown[]> {
  const { data: page } = await listPbxs({ ...options, query: { license: "x-bees" } });
  const serials = page.items.map((each) => each.pbx);
  const path = { pbx: serials[0] ?? "" };
  const { data: read } = await getPbx({ ...options, path });
  const deleted = await deletePbx({ ...options, path });
  return [serials, read.company, deleted.response.status];
}

async function health(): Promise<unknown[]> {
  const { data: live } = await getLiveness(options);
  const { data: ready } = await getReadiness(options);
  const { data: metrics } = await getMetrics(options);
  return [live.status, ready.status, metrics.includes("\n# TYPE hookline_")];
}

const seen = {
  keys: await keys(),
  system: await system(),
  types: await types(),
  replays: await replays(),
  erasures: await erasures(),
  reads: await reads(),
};
process.stdout.write(JSON.stringify(seen));
