// Keeps lists of deliveries fresh from the service's own stream.
import { useThrottledCallback } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";

import { streamDeliveries } from "../client";

const MOST_OFTEN = 1_000; // milliseconds between two readings of a list, however much happens

/** Read the lists of deliveries again as deliveries settle, while the page is open. */
export function useLiveDeliveries(integrationId?: string): void {
  const queries = useQueryClient();
  const refresh = useThrottledCallback(
    () => void queries.invalidateQueries({ predicate: ({ queryKey }) => isList(queryKey[0]) }),
    MOST_OFTEN,
  );
  useEffect(() => {
    const leaving = new AbortController();
    void follow(integrationId, leaving.signal, refresh);
    return () => leaving.abort();
  }, [integrationId, refresh]);
}

async function follow(
  integrationId: string | undefined,
  signal: AbortSignal,
  settled: () => void,
): Promise<void> {
  const query = integrationId === undefined ? {} : { integrationId };
  const { stream } = await streamDeliveries({ query, signal });
  for await (const _ of stream) settled();
}

function isList(key: unknown): boolean {
  return typeof key === "object" && key !== null && "_id" in key && key._id === "listDeliveries";
}
