import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { getIntegrationOptions } from "../client/@tanstack/react-query.gen";

/** An integration by its name, with a link; by its id alone where it was deleted. */
export function IntegrationName({ id }: { id: string }) {
  const integration = useQuery({
    ...getIntegrationOptions({ path: { integrationId: id } }),
    retry: false,
  });
  if (integration.isError) return <span className="mono">{id}</span>; // deleted, or another tenant's
  return (
    <Link to="/integrations/$integrationId" params={{ integrationId: id }} className="link">
      {integration.data?.name ?? id}
    </Link>
  );
}
