// What a key may do, from what the service lets it read.
import { listIntegrations, listKeys } from "../client";
import { asApiError } from "../api/problems";
import type { Role } from "./session";

/** Return the key's role; throw ApiError where the service does not know the key. */
export async function roleOf(key: string): Promise<Role> {
  if (await may(listKeys, key)) return "admin";
  if (await may(listIntegrations, key)) return "manager";
  return "ingest";
}

async function may(
  list: (options: {
    auth: string;
    query: { limit: number };
    throwOnError: true;
  }) => Promise<unknown>,
  key: string,
): Promise<boolean> {
  try {
    await list({ auth: key, query: { limit: 1 }, throwOnError: true });
    return true;
  } catch (error) {
    if (asApiError(error).status === 403) return false;
    throw error;
  }
}
