import { Paper, SimpleGrid, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import type { SystemOverview } from "../client";
import { getSystemOptions } from "../client/@tanstack/react-query.gen";
import { localeOf } from "../i18n";
import { Problem } from "../layout/Failures";
import { Fact } from "../shared/Block";
import { milliseconds } from "../shared/format";
import { Waiting } from "../shared/Listing";
import { Page } from "../shared/Page";
import { healthText } from "../shared/states";
import { Time } from "../shared/Time";

const AGAIN = 5_000; // milliseconds

/** The state of the service, as it says itself. */
export function SystemPage() {
  const { t } = useTranslation();
  const system = useQuery({ ...getSystemOptions(), refetchInterval: AGAIN });
  return (
    <Page title={t("System")}>
      {system.isPending && <Waiting />}
      {system.isError && <Problem error={system.error} />}
      {system.data && <Overview system={system.data} />}
    </Page>
  );
}

function Overview({ system }: { system: SystemOverview }) {
  const { t, i18n } = useTranslation();
  const number = new Intl.NumberFormat(localeOf(i18n.language), { maximumFractionDigits: 2 });
  const bytes = new Intl.NumberFormat(localeOf(i18n.language), {
    style: "unit",
    unit: "megabyte",
    maximumFractionDigits: 0,
  });
  const rate = (value: number | null) =>
    value === null ? "–" : t("{{amount}} a second", { amount: number.format(value) });
  return (
    <Stack>
      <Title order={2}>{t("Deliveries")}</Title>
      <Paper withBorder p="md">
        <SimpleGrid cols={{ base: 2, md: 4 }}>
          <Fact name={t("Waiting")}>{number.format(system.backlog.pending)}</Fact>
          <Fact name={t("On their way")}>{number.format(system.backlog.leased)}</Fact>
          <Fact name={t("Due now")}>{number.format(system.backlog.due)}</Fact>
          <Fact name={t("Due later")}>{number.format(system.backlog.scheduled)}</Fact>
          <Fact name={t("Oldest that is due")}>
            {system.oldestDue ? (
              <Link
                to="/integrations/$integrationId"
                params={{ integrationId: system.oldestDue.integrationId }}
                className="link"
              >
                {milliseconds(localeOf(i18n.language), system.oldestDue.waitedMs)}
              </Link>
            ) : system.backlog.due > 0 ? (
              t("only for paused integrations")
            ) : (
              t("nothing waits")
            )}
          </Fact>
          <Fact name={t("Accepted")}>{rate(system.rates.acceptedPerSecond)}</Fact>
          <Fact name={t("Delivered")}>{rate(system.rates.deliveredPerSecond)}</Fact>
          <Fact name={t("Failed")}>{rate(system.rates.failedPerSecond)}</Fact>
        </SimpleGrid>
      </Paper>
      <Title order={2}>{t("Integrations")}</Title>
      <Paper withBorder p="md">
        <SimpleGrid cols={{ base: 2, md: 4 }}>
          {Object.entries(system.integrations).map(([state, count]) => (
            <Fact key={state} name={healthText(t, state)}>
              {number.format(count)}
            </Fact>
          ))}
        </SimpleGrid>
      </Paper>
      <Title order={2}>{t("Engines")}</Title>
      <Paper withBorder style={{ overflow: "hidden" }}>
        <Table.ScrollContainer minWidth={320} type="native">
          <Table verticalSpacing="sm" horizontalSpacing="md" aria-label={t("Engines")}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th scope="col">{t("Host")}</Table.Th>
                <Table.Th scope="col" visibleFrom="md">
                  {t("Process")}
                </Table.Th>
                <Table.Th scope="col" visibleFrom="md">
                  {t("Version")}
                </Table.Th>
                <Table.Th scope="col" visibleFrom="sm">
                  {t("Started")}
                </Table.Th>
                <Table.Th scope="col">{t("In flight")}</Table.Th>
                <Table.Th scope="col">{t("Delivered")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {system.engines.map((engine) => (
                <Table.Tr key={engine.id}>
                  <Table.Td>{engine.host}</Table.Td>
                  <Table.Td visibleFrom="md">{engine.pid}</Table.Td>
                  <Table.Td visibleFrom="md">{engine.version}</Table.Td>
                  <Table.Td visibleFrom="sm">
                    <Time at={engine.startedAt} />
                  </Table.Td>
                  <Table.Td>{number.format(engine.inFlight)}</Table.Td>
                  <Table.Td>{rate(engine.rates.deliveredPerSecond)}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
        {system.engines.length === 0 && (
          <Text p="md">{t("No engine runs, so nothing is delivered.")}</Text>
        )}
      </Paper>
      <Title order={2}>{t("Versions and database")}</Title>
      <Paper withBorder p="md">
        <SimpleGrid cols={{ base: 2, md: 4 }}>
          <Fact name="Hookline">{system.version}</Fact>
          <Fact name="PostgreSQL">{system.database.version}</Fact>
          <Fact name={t("Migration")}>{system.migrations.current}</Fact>
          <Fact name={t("Size")}>{bytes.format(system.database.sizeBytes / 1_000_000)}</Fact>
          <Fact name={t("Answers within")}>
            {milliseconds(localeOf(i18n.language), system.database.latencyMs)}
          </Fact>
          <Fact name={t("Connections")}>
            {number.format(system.database.connections)} /{" "}
            {number.format(system.database.connectionsLimit)}
          </Fact>
          <Fact name={t("Days kept")}>{number.format(system.partitions.days)}</Fact>
        </SimpleGrid>
      </Paper>
    </Stack>
  );
}
