// The log of deliveries as a table: of all integrations, or of one.
import { Box, Select, Table, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import type { Delivery, DeliveryStatus, ListDeliveriesData } from "../client";
import { listDeliveriesInfiniteOptions } from "../client/@tanstack/react-query.gen";
import { EventTypeSelect } from "../shared/EventTypeSelect";
import { Empty, Listing } from "../shared/Listing";
import { Period } from "../shared/Period";
import { reasonText, StatusBadge, statusText } from "../shared/states";
import { Time } from "../shared/Time";
import { TypeName } from "../shared/TypeName";
import { useLiveDeliveries } from "./live";

const STATUSES: readonly DeliveryStatus[] = ["pending", "delivered", "failed", "skipped"];

interface Props {
  integrationId?: string;
  /** The integration's PBX, whose events it could have got. */
  pbx?: string | null;
}

export function Deliveries({ integrationId, pbx }: Props) {
  const { t } = useTranslation();
  const search = useSearch({ strict: false });
  const query: NonNullable<ListDeliveriesData["query"]> = {
    ...(integrationId && { integrationId }),
    ...(isStatus(search.status) && { status: [search.status] }),
    ...(search.event && { type: search.event }),
    ...(search.since && { since: search.since }),
    ...(search.until && { until: search.until }),
  };
  const list = useInfiniteQuery({
    ...listDeliveriesInfiniteOptions({ query }),
    initialPageParam: {},
    getNextPageParam: (page) => page.next ?? undefined,
  });
  useLiveDeliveries(integrationId);
  return (
    <>
      <Filters />
      <Text size="sm" my="sm">
        {t("Something is missing here?")}{" "}
        <Link
          to="/events"
          search={{ ...(pbx && { pbx }), since: search.since, until: search.until }}
          className="link"
        >
          {t("Look for the event: it says who got it, and who did not and why")}
        </Link>
      </Text>
      <Listing<Delivery>
        label={t("Deliveries")}
        list={list}
        columns={[
          { title: t("Queued") },
          { title: t("Type of event") },
          ...(integrationId ? [] : [{ title: t("Integration"), visibleFrom: "md" as const }]),
          { title: t("Attempts"), visibleFrom: "md" },
          { title: t("Outcome"), visibleFrom: "sm" },
        ]}
        row={(delivery) => (
          <Row key={delivery.id} delivery={delivery} alone={integrationId !== undefined} />
        )}
        empty={
          <Empty title={t("No delivery here")}>
            {t(
              "Each event that an integration gets is one delivery, with its attempts. Nothing matches these filters, or nothing was sent yet.",
            )}
          </Empty>
        }
      />
    </>
  );
}

function Row({ delivery, alone }: { delivery: Delivery; alone: boolean }) {
  const { t } = useTranslation();
  return (
    <Table.Tr>
      <Table.Td>
        <Link to="/deliveries/$deliveryId" params={{ deliveryId: delivery.id }} className="link">
          <Time at={delivery.createdAt} seconds />
        </Link>
      </Table.Td>
      <Table.Td>
        <TypeName name={delivery.type} />
        <Box hiddenFrom="sm" mt={4}>
          <StatusBadge status={delivery.status} />
        </Box>
      </Table.Td>
      {!alone && (
        <Table.Td visibleFrom="md">
          <Link
            to="/integrations/$integrationId"
            params={{ integrationId: delivery.integrationId }}
            className="link mono"
          >
            {delivery.integrationId}
          </Link>
        </Table.Td>
      )}
      <Table.Td visibleFrom="md">{delivery.attempts.length}</Table.Td>
      <Table.Td visibleFrom="sm">
        <StatusBadge status={delivery.status} />
        {delivery.reason && (
          <Text size="sm" c="dimmed" maw={320} visibleFrom="md">
            {reasonText(t, delivery.reason)}
          </Text>
        )}
      </Table.Td>
    </Table.Tr>
  );
}

function Filters() {
  const { t } = useTranslation();
  const search = useSearch({ strict: false });
  const navigate = useNavigate();
  const change = (part: Record<string, string | undefined>) =>
    void navigate({ to: ".", search: (before: object) => ({ ...before, ...part }), replace: true });
  return (
    <div className="filters">
      <Select
        label={t("Outcome")}
        placeholder={t("Any")}
        clearable
        value={search.status ?? null}
        onChange={(status) => change({ status: status ?? undefined })}
        data={STATUSES.map((status) => ({ value: status, label: statusText(t, status) }))}
      />
      <EventTypeSelect value={search.event} onChange={change} />
      <Period since={search.since} until={search.until} onChange={change} />
    </div>
  );
}

function isStatus(value: string | undefined): value is DeliveryStatus {
  return STATUSES.some((status) => status === value);
}
