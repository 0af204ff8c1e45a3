// The key of this tab's session: kept for the tab's life only, never in the address.
import { useSyncExternalStore } from "react";

import { getCurrentKey } from "../client";

export type Role = "admin" | "manager";
export interface Session {
  readonly key: string;
  readonly role: Role;
  readonly expired: boolean; // the service refuses the key; what the pages hold is kept
}

const KEY = "hookline.key";
const ROLE = "hookline.role";

let current: Session | null = restored();
const listeners = new Set<() => void>();

function restored(): Session | null {
  const key = sessionStorage.getItem(KEY);
  const role = sessionStorage.getItem(ROLE);
  return key !== null && isRole(role) ? { key, role, expired: false } : null;
}

function isRole(value: string | null): value is Role {
  return value === "admin" || value === "manager";
}

function set(next: Session | null): void {
  current = next;
  if (next === null) {
    sessionStorage.removeItem(KEY);
    sessionStorage.removeItem(ROLE);
  } else {
    sessionStorage.setItem(KEY, next.key);
    sessionStorage.setItem(ROLE, next.role);
  }
  for (const listener of listeners) listener();
}

export const session = {
  key: () => current?.key,
  now: () => current,
  /**
   * Ask the service what the key may do, and keep it where it may see anything, which the result
   * says. Throws ApiError where the key is refused.
   */
  async signIn(key: string): Promise<boolean> {
    const { data } = await getCurrentKey({ auth: key, throwOnError: true });
    if (data.role === "ingest") return false;
    set({ key, role: data.role, expired: false });
    return true;
  },
  signOut: () => set(null),
  /** Call back with each change; the result ends that. */
  onChange(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  expire: () => current && !current.expired && set({ ...current, expired: true }),
};

export function useSession(): Session | null {
  return useSyncExternalStore(session.onChange, () => current);
}

/** Take a key out of `#key=…`, where a vendor's page may put it, and out of the address at once. */
export function takeKeyFromAddress(): string | null {
  const key = new URLSearchParams(window.location.hash.slice(1)).get("key");
  if (key === null) return null;
  window.history.replaceState(null, "", window.location.pathname + window.location.search);
  return key;
}
