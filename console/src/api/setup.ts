// The generated client and the query cache, set up once for the whole page.
import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";

import { client } from "../client/client.gen";
import { session } from "../session/session";
import { asApiError, toApiError } from "./problems";
import { connection } from "./connection";

const RETRIED = new Set([0, 429, 502, 503, 504]); // reads only: asking again changes nothing
const MOST_RETRIES = 2;

client.setConfig({ baseUrl: window.location.origin, auth: () => session.key() ?? "" });

client.interceptors.error.use((error, response) => toApiError(error, response));

client.interceptors.response.use((response) => {
  connection.answered();
  return response;
});

let key = session.key();

/** What one key was shown is not shown to the next one's holder. */
function forget(): void {
  if (session.key() === key) return;
  key = session.key();
  if (key === undefined) return queries.clear();
  queries.removeQueries({ type: "inactive" });
  void queries.invalidateQueries();
}

function watch(error: unknown): void {
  const { status } = asApiError(error);
  if (status === 401) session.expire();
  if (status === 0) connection.lost();
}

export const queries = new QueryClient({
  queryCache: new QueryCache({ onError: watch }),
  mutationCache: new MutationCache({ onError: watch }),
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      retry: (failures, error) => RETRIED.has(asApiError(error).status) && failures < MOST_RETRIES,
    },
  },
});

session.onChange(forget);
