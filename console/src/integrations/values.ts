// What the form of an integration holds, how it becomes requests, and where the service's errors belong in it.
import type { FormErrors } from "@mantine/form";
import type { TFunction } from "i18next";
import { z } from "zod/mini";

import type { WrongField } from "../client";
import type {
  EventSelection,
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
  const base = {
    url,
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
  if (text.trim() === "") return true;
  const value = parsed(text);
  return typeof value === "object" && value !== null && !Array.isArray(value);
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
  };
}

/** A merge patch with what differs from what the form was opened with, and nothing else. */
export function toPatch(before: Values, after: Values): IntegrationPatch {
  const patch: IntegrationPatch = {};
  const transmission: NonNullable<IntegrationPatch["transmission"]> = {};
  if (after.name.trim() !== before.name) patch.name = after.name.trim() || null;
  if (after.ordering !== before.ordering) patch.ordering = after.ordering;
  if (after.rateLimit !== before.rateLimit)
    patch.rateLimit = after.rateLimit === "" ? null : after.rateLimit;
  if (after.maxInFlight !== before.maxInFlight && after.maxInFlight !== "") {
    patch.maxInFlight = after.maxInFlight;
  }
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

/** Put each of the service's errors at its field; return those that belong to none. */
export function placeErrors(fields: readonly WrongField[]): {
  errors: FormErrors;
  others: WrongField[];
} {
  const errors: FormErrors = {};
  const others: WrongField[] = [];
  for (const field of fields) {
    const place = field.path.replace(/^transmission\./, "").split(/[.[]/)[0] ?? "";
    if (place === "filter") errors[place] = `${field.path}: ${field.message}`;
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
