// What openapi-typescript and orval make of the document is used here, and only compiled.
import type { Delivery, IntegrationCreate } from "./orval.js";
import { createIntegration, OutcomeReason } from "./orval.js";
import type { components, paths } from "./schema.js";

type Body = paths["/v1/integrations"]["post"]["requestBody"]["content"]["application/json"];

// Everything that has a default is left out.
const body: Body = {
  name: "CRM",
  transmission: { type: "WEBHOOK", url: "https://crm.example.com/hook" },
  events: { call: "all", analytics: ["call:completed"] },
};
const same: IntegrationCreate = body;

export async function make(): Promise<string> {
  const answer = await createIntegration(same);
  return answer.status === 201 ? answer.data.id : answer.data.detail;
}

export function reasonOf(delivery: Delivery): string | null {
  return delivery.reason === OutcomeReason.exhausted ? "Tried in vain." : (delivery.reason ?? null);
}

export function rateOf({ rateLimit }: components["schemas"]["Integration"]): number {
  return rateLimit ?? Infinity;
}
