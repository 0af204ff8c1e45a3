// Whether the service answers; pages show a banner while it does not.
import { useSyncExternalStore } from "react";

let away = false;
const listeners = new Set<() => void>();

function set(next: boolean): void {
  if (away === next) return;
  away = next;
  for (const listener of listeners) listener();
}

export const connection = {
  lost: () => set(true),
  answered: () => set(false),
};

/** True from the first request without an answer to the next one with one. */
export function useServiceAway(): boolean {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => away,
  );
}
