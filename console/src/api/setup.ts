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
