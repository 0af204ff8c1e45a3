import { Badge, Box, Button, Group, Select, Table, Text, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { keepPreviousData, useInfiniteQuery, useQueries } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type {
  EventSelection,
  Integration,
  IntegrationCounts,
  ListIntegrationsData,
} from "../client";
import {
  getStatisticsByIntegrationOptions,
  listIntegrationsInfiniteOptions,
} from "../client/@tanstack/react-query.gen";
import { useCatalogue } from "../shared/catalogue";
import { Empty, Listing } from "../shared/Listing";
import { Page } from "../shared/Page";
import { HEIGHT as SPARKLINE_HEIGHT, Sparkline } from "../shared/Sparkline";
import { HealthBadge } from "../shared/states";

const route = getRouteApi("/integrations");
const TYPING = 300; // milliseconds after the last key until the list follows
const AGAIN = 60_000; // milliseconds: the last hour's bar grows while one looks

export function ListPage() {
  const { t } = useTranslation();
  const search = route.useSearch();
  const filtered = Object.values(search).some((value) => value !== undefined);
  const list = useInfiniteQuery({
    ...listIntegrationsInfiniteOptions({ query: queryOf(search) }),
    initialPageParam: {},
    getNextPageParam: (page) => page.next ?? undefined,
  });
  const [resets, setResets] = useState(0); // the fields, which keep what is typed, start anew
  const counts = useCounts(list.data?.pages.map(({ items }) => items) ?? []);
  const add = (
    <Button component={Link} to="/integrations/new" leftSection={<Plus size={16} />}>
      {t("Add new integration")}
    </Button>
  );
  return (
    <Page title={t("Integrations")} actions={add}>
      <Filters key={resets} />
      <Listing<Integration>
        label={t("Integrations")}
        list={list}
        columns={[
          { title: t("Name") },
          { title: t("Type"), visibleFrom: "md" },
          { title: "PBX", visibleFrom: "lg" },
          { title: t("Types of events"), visibleFrom: "lg" },
          { title: t("Last 24 hours"), visibleFrom: "sm" },
          { title: t("Health") },
        ]}
        row={(integration) => (
          <Row key={integration.id} integration={integration} counts={counts.get(integration.id)} />
        )}
        empty={
          filtered ? (
            <Empty title={t("No integration matches the filters")}>
              <Link
                to="/integrations"
                search={{}}
                className="link"
                onClick={() => setResets((before) => before + 1)}
              >
                {t("Show all integrations")}
              </Link>
            </Empty>
          ) : (
            <Empty title={t("There is no integration yet")}>
              {t(
                "An integration sends the events of a PBX that you choose, calls, presence, transcripts and more, to a program of yours: to an HTTPS webhook or an AWS SQS queue. Each copy is signed, and sent again where the program is away.",
              )}{" "}
              <Link to="/integrations/new" className="link">
                {t("Add the first one")}
              </Link>
            </Empty>
          )
        }
      />
    </Page>
  );
}

/** The counts of the last 24 hours: one request for each page of the list. */
function useCounts(pages: readonly Integration[][]): Map<string, IntegrationCounts> {
  return useQueries({
    queries: pages
      .filter((items) => items.length > 0)
      .map((items) => ({
        ...getStatisticsByIntegrationOptions({
          query: { integrationId: items.map(({ id }) => id) },
        }),
        refetchInterval: AGAIN,
        placeholderData: keepPreviousData,
      })),
    combine: (answers) =>
      new Map(
        answers.flatMap(({ data }) => data?.items ?? []).map((each) => [each.integrationId, each]),
      ),
  });
}

interface RowProps {
  integration: Integration;
  counts: IntegrationCounts | undefined;
}

function Row({ integration, counts }: RowProps) {
  const { t } = useTranslation();
  const { transmission } = integration;
  const chart = counts ? (
    <Sparkline delivered={counts.delivered} failed={counts.failed} />
  ) : (
    <Box h={SPARKLINE_HEIGHT} /> // its place: what is below does not move when it comes
  );
  return (
    <Table.Tr>
      <Table.Td>
        <Link
          to="/integrations/$integrationId"
          params={{ integrationId: integration.id }}
          className="link break"
        >
          <Text span inherit lineClamp={3} title={integration.name}>
            {integration.name}
          </Text>
        </Link>
        <Text size="sm" c="dimmed" className="break" lineClamp={2} title={transmission.url}>
          {transmission.url}
        </Text>
      </Table.Td>
      <Table.Td visibleFrom="md" className="state-text">
        {transmission.type === "WEBHOOK" ? t("Webhook") : "AWS SQS"}
      </Table.Td>
      <Table.Td visibleFrom="lg" className="mono">
        {integration.pbx ?? integration.company}
      </Table.Td>
      <Table.Td visibleFrom="lg">
        <Chosen events={integration.events} />
      </Table.Td>
      <Table.Td visibleFrom="sm" miw={152}>
        {chart}
      </Table.Td>
      <Table.Td>
        <HealthBadge health={integration.health} />
        <Box hiddenFrom="sm" mt="xs">
          {chart}
        </Box>
      </Table.Td>
    </Table.Tr>
  );
}

/** The chosen events, group by group. */
export function Chosen({ events }: { events: EventSelection }) {
  const { t } = useTranslation();
  const titles = new Map(useCatalogue().data?.map(({ name, title }) => [name, title]));
  return (
    <Group gap={6}>
      {Object.entries(events).map(([name, choice]) => {
        const group = titles.get(name) ?? name;
        return (
          <Badge key={name} variant="default" tt="none" fw={500} className="state">
            {choice === "all" ? t("{{group}}: all", { group }) : `${group}: ${choice.length}`}
          </Badge>
        );
      })}
    </Group>
  );
}

function Filters() {
  const { t } = useTranslation();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const change = (part: Partial<typeof search>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const typed = useDebouncedCallback(change, TYPING);
  return (
    <div className="filters">
      <TextInput
        label={t("Search")}
        placeholder={t("Name, URL or id")}
        defaultValue={search.search}
        onChange={(event) => typed({ search: event.currentTarget.value.trim() || undefined })}
      />
      <TextInput
        label="PBX"
        placeholder="000000000001"
        defaultValue={search.pbx}
        onChange={(event) => typed({ pbx: event.currentTarget.value.trim() || undefined })}
      />
      <TextInput
        label={t("Company")}
        placeholder="it_w000001"
        defaultValue={search.company}
        onChange={(event) => typed({ company: event.currentTarget.value.trim() || undefined })}
      />
      <Select
        label={t("Type")}
        placeholder={t("Any")}
        clearable
        value={search.type ?? null}
        data={[
          { value: "WEBHOOK", label: t("Webhook") },
          { value: "AWS_SQS", label: "AWS SQS" },
        ]}
        onChange={(type) => change({ type: type ?? undefined })}
      />
      <Select
        label={t("State")}
        placeholder={t("Any")}
        clearable
        value={search.enabled ?? null}
        data={[
          { value: "true", label: t("Enabled") },
          { value: "false", label: t("Disabled") },
        ]}
        onChange={(enabled) => change({ enabled: enabled ?? undefined })}
      />
    </div>
  );
}

function queryOf(
  search: ReturnType<typeof route.useSearch>,
): NonNullable<ListIntegrationsData["query"]> {
  const { pbx, company, type, enabled } = search;
  return {
    ...(search.search && { search: search.search }),
    ...(pbx && { pbx }),
    ...(company && { company }),
    ...((type === "WEBHOOK" || type === "AWS_SQS") && { type }),
    ...((enabled === "true" || enabled === "false") && { enabled: enabled === "true" }),
  };
}
