// What the form of an integration holds, how it becomes requests, and where the service's errors belong in it.
import type { FormErrors } from "@mantine/form";
import type { TFunction } from "i18next";
import { z } from "zod/mini";

import type { WrongField } from "../client";
import type {
  DeliveryByGroup,
  DeliveryByGroupPatch,
  EventSelection,
  GroupDelivery,
  GroupDeliveryPatch,
  Integration,
  IntegrationCreate,
  IntegrationPatch,
  Ordering,
  TransmissionType,
} from "../client";
import { isEmpty } from "./selection";

export interface Header {
  readonly id: string; // a row's own, for React
  readonly name: string;
  readonly value: string;
}

/** What a group's events are worth, as its fields hold it. */
export interface Policy {
  readonly retries: "default" | "none" | "own";
  readonly retryDelays: string; // seconds, with commas between; of `own`
  readonly maxAge: number | "";
  readonly latest: boolean;
}
export const NO_POLICY: Policy = { retries: "default", retryDelays: "", maxAge: "", latest: false };

export type Values = {
  pbx: string;
  company: string;
  name: string;
  type: TransmissionType;
  url: string;
  headers: Header[];
  accessKeyId: string;
  secretAccessKey: string;
  events: EventSelection;
  ordering: Ordering;
  rateLimit: number | "";
  maxInFlight: number | "";
  filter: string; // JSON; empty for none
  omit: string[];
  delivery: Record<string, Policy>; // by group; left out: nothing of its own
};

export const NOTHING: Values = {
  pbx: "",
  company: "",
  name: "",
  type: "WEBHOOK",
  url: "",
  headers: [],
  accessKeyId: "",
  secretAccessKey: "",
  events: {},
  ordering: "none",
  rateLimit: "",
  maxInFlight: "",
  filter: "",
  omit: [],
  delivery: {},
};

export function valuesOf(integration: Integration): Values {
  const { transmission } = integration;
  return {
    ...NOTHING,
    pbx: integration.pbx ?? "",
    company: integration.company ?? "",
    name: integration.name,
    type: transmission.type,
    url: transmission.url,
    headers:
      transmission.type === "WEBHOOK"
        ? Object.entries(transmission.headers).map(([name, value]) => header(name, value))
        : [],
    events: integration.events,
    ordering: integration.ordering,
    rateLimit: integration.rateLimit ?? "",
    maxInFlight: integration.maxInFlight ?? "",
    filter: integration.filter ? JSON.stringify(integration.filter, null, 2) : "",
    omit: integration.omit,
    delivery: Object.fromEntries(
      Object.entries(integration.delivery).map(([group, policy]) => [group, policyOf(policy)]),
    ),
  };
}

function policyOf({ retryDelays, maxAge, keep }: GroupDelivery): Policy {
  return {
    retries: retryDelays === undefined ? "default" : retryDelays.length === 0 ? "none" : "own",
    retryDelays: retryDelays?.join(", ") ?? "",
    maxAge: maxAge ?? "",
    latest: keep === "latest",
  };
}

export function header(name = "", value = ""): Header {
  return { id: crypto.randomUUID(), name, value };
}

/** What can be told without the service; the service checks everything again. */
export function schemaOf(t: TFunction, creating: boolean) {
  const url = z
    .string()
    .check(
      z.minLength(1, t("Enter the URL.")),
      z.refine(isUrl, t("Enter a whole URL, such as https://crm.example.com/hook.")),
    );
  const events = z
    .custom<EventSelection>()
    .check(z.refine((chosen) => !isEmpty(chosen), t("Choose at least one type of event.")));
  const filter = z.string().check(z.refine(isJsonObject, t("Enter the filter as a JSON object.")));
  const delivery = z.record(
    z.string(),
    z
      .custom<Policy>()
      .check(
        z.refine(
          ({ retries, retryDelays }) => retries !== "own" || delaysOf(retryDelays) !== null,
          t("Enter one to three numbers of seconds, such as 5, 300, 3600."),
        ),
      ),
  );
  const base = {
    url,
    delivery,
    events,
    filter,
    headers: z.array(
      z.object({ name: z.string().check(z.minLength(1, t("Enter the header's name."))) }),
    ),
  };
  if (!creating) return z.object(base);
  const webhook = z.object({ ...base, type: z.literal("WEBHOOK") });
  const queue = z.object({
    ...base,
    type: z.literal("AWS_SQS"),
    accessKeyId: z.string().check(z.minLength(1, t("Enter the AWS access key's id."))),
    secretAccessKey: z.string().check(z.minLength(1, t("Enter the AWS secret."))),
  });
  return z.discriminatedUnion("type", [webhook, queue]);
}

function isJsonObject(text: string): boolean {
  return filterOf(text) !== undefined;
}

/** The pattern that a text holds: null for none, undefined while it is half typed. */
export function filterOf(text: string): Record<string, unknown> | null | undefined {
  if (text.trim() === "") return null;
  const value = parsed(text);
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
}

/** A JSON text's value; undefined while it is half typed. */
function parsed(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isUrl(text: string): boolean {
  return URL.canParse(text.trim());
}

export function toCreate(values: Values): IntegrationCreate {
  const url = values.url.trim();
  return {
    ...(values.pbx.trim() && { pbx: values.pbx.trim() }),
    ...(values.company.trim() && { company: values.company.trim() }),
    ...(values.name.trim() && { name: values.name.trim() }),
    transmission:
      values.type === "WEBHOOK"
        ? { type: "WEBHOOK", url, headers: headersOf(values) }
        : {
            type: "AWS_SQS",
            url,
            accessKeyId: values.accessKeyId.trim(),
            secretAccessKey: values.secretAccessKey,
          },
    events: values.events,
    ...(values.ordering !== "none" && { ordering: values.ordering }),
    ...(values.rateLimit !== "" && { rateLimit: values.rateLimit }),
    ...(values.maxInFlight !== "" && { maxInFlight: values.maxInFlight }),
    ...(values.filter.trim() && { filter: parsed(values.filter) ?? null }),
    ...(values.omit.length > 0 && { omit: values.omit }),
    ...(!same(deliveryOf(values), {}) && { delivery: deliveryOf(values) }),
  };
}

/** The policies that say anything, as the API takes them. */
function deliveryOf(values: Values): DeliveryByGroup {
  const policies = Object.entries(values.delivery).map(([group, policy]) => {
    const { retries, retryDelays, maxAge, latest } = policy;
    const made: GroupDelivery = {
      ...(retries === "none" && { retryDelays: [] }),
      ...(retries === "own" && { retryDelays: delaysOf(retryDelays) ?? [] }),
      ...(maxAge !== "" && { maxAge }),
      ...(latest && { keep: "latest" }),
    };
    return [group, made] as const;
  });
  return Object.fromEntries(policies.filter(([, policy]) => Object.keys(policy).length > 0));
}

/** Seconds before each retry; null where the text is no list of one to three numbers. */
function delaysOf(text: string): number[] | null {
  const parts = text.split(/[,;\s]+/).filter(Boolean);
  const delays = parts.map(Number);
  const well = delays.length >= 1 && delays.length <= 3 && delays.every((delay) => delay >= 0);
  return well ? delays : null;
}

/** A merge patch with what differs from what the form was opened with, and nothing else. */
export function toPatch(before: Values, after: Values): IntegrationPatch {
  const patch: IntegrationPatch = {};
  const transmission: NonNullable<IntegrationPatch["transmission"]> = {};
  if (after.name.trim() !== before.name) patch.name = after.name.trim() || null;
  if (after.ordering !== before.ordering) patch.ordering = after.ordering;
  if (after.rateLimit !== before.rateLimit)
    patch.rateLimit = after.rateLimit === "" ? null : after.rateLimit;
  if (after.maxInFlight !== before.maxInFlight)
    patch.maxInFlight = after.maxInFlight === "" ? null : after.maxInFlight;
  if (!same(after.omit, before.omit)) patch.omit = after.omit;
  const delivery = deliveryPatch(deliveryOf(before), deliveryOf(after));
  if (Object.keys(delivery).length > 0) patch.delivery = delivery;
  if (after.filter !== before.filter)
    patch.filter = after.filter.trim() ? (parsed(after.filter) ?? null) : null;
  if (!same(after.events, before.events))
    patch.events = { ...removed(before.events, after.events), ...after.events };
  if (after.url.trim() !== before.url) transmission.url = after.url.trim();
  const headers = [headersOf(before), headersOf(after)] as const;
  if (!same(headers[0], headers[1]))
    transmission.headers = { ...removed(headers[0], headers[1]), ...headers[1] };
  if (after.accessKeyId.trim()) transmission.accessKeyId = after.accessKeyId.trim();
  if (after.secretAccessKey) transmission.secretAccessKey = after.secretAccessKey;
  if (Object.keys(transmission).length > 0) patch.transmission = transmission;
  return patch;
}

/** Each group that differs, with null for each part of it that is gone; null for a whole one. */
function deliveryPatch(before: DeliveryByGroup, after: DeliveryByGroup): DeliveryByGroupPatch {
  const patch: DeliveryByGroupPatch = removed(before, after);
  for (const [group, policy] of Object.entries(after)) {
    const old = before[group] ?? {};
    if (!same(old, policy))
      patch[group] = { ...removed(old, policy), ...policy } as GroupDeliveryPatch;
  }
  return patch;
}

/** Put each of the service's errors at its field; return those that belong to none. */
export function placeErrors(fields: readonly WrongField[]): {
  errors: FormErrors;
  others: WrongField[];
} {
  const errors: FormErrors = {};
  const others: WrongField[] = [];
  for (const field of fields) {
    const place = field.path.replace(/^transmission\./, "").split(/[.[]/)[0] ?? "";
    if (place === "filter" || place === "omit") errors[place] = `${field.path}: ${field.message}`;
    else if (place === "delivery")
      errors[field.path.split(".").slice(0, 2).join(".")] = field.message;
    else if (place in NOTHING) errors[place] = field.message;
    else others.push(field);
  }
  return { errors, others };
}

export function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value) || typeof value !== "object" || value === null) return value;
  return Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
}

function headersOf(values: Values): Record<string, string> {
  return Object.fromEntries(values.headers.map(({ name, value }) => [name.trim(), value]));
}

function removed(before: object, after: object): Record<string, null> {
  return Object.fromEntries(
    Object.keys(before)
      .filter((name) => !(name in after))
      .map((name) => [name, null]),
  );
}
