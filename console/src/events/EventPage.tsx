import { Box, Paper, SimpleGrid, Stack, Table, Text, Timeline, Title } from "@mantine/core";
import { useQueries, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import type { EventRecord, EventSummary, IntegrationOutcome } from "../client";
import { getEventOptions, listEventsOptions } from "../client/@tanstack/react-query.gen";
import { Problem } from "../layout/Failures";
import { Block, Fact } from "../shared/Block";
import { IntegrationName } from "../shared/IntegrationName";
import { Waiting } from "../shared/Listing";
import { Page } from "../shared/Page";
import { errorText, reasonText, StatusBadge } from "../shared/states";
import { Time } from "../shared/Time";

const route = getRouteApi("/events/$eventId");
const AGAIN = 1_000; // milliseconds, while something of it is on its way
const LONGEST_TIMELINE = 50; // events of one subject that are shown together

export function EventPage() {
  const { eventId } = route.useParams();
  const record = useQuery({
    ...getEventOptions({ path: { eventId } }),
    refetchInterval: ({ state }) =>
      state.data?.outcomes.some(({ status }) => status === "pending") ? AGAIN : false,
  });
  if (record.isPending) return <Waiting />;
  if (record.isError) return <Problem error={record.error} retry={() => void record.refetch()} />;
  return <Shown record={record.data} />;
}

function Shown({ record }: { record: EventRecord }) {
  const { t } = useTranslation();
  const { event } = record;
  const subject = textOf(event.id);
  return (
    <Page title={textOf(event.type)}>
      <Paper withBorder p="md">
        <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }}>
          <Fact name={t("Accepted")}>
            <Time at={record.acceptedAt} seconds />
          </Fact>
          <Fact name={t("Subject")}>
            <Link to="/events" search={{ subject }} className="link mono">
              {subject}
            </Link>
          </Fact>
          <Fact name="PBX">{textOf(event.pbx)}</Fact>
          <Fact name={t("Company")}>{textOf(event.company)}</Fact>
        </SimpleGrid>
      </Paper>
      <Title order={2}>{t("What became of it")}</Title>
      <Outcomes outcomes={record.outcomes} />
      <Text size="sm" c="dimmed">
        {t(
          "Integrations that were added later are not listed. To send it to one of them: Send again, also events that it never got.",
        )}
      </Text>
      <EventTimeline subject={subject} shown={record.eventId} />
      <Block title={t("The event")} text={JSON.stringify(event)} />
    </Page>
  );
}

function Outcomes({ outcomes }: { outcomes: IntegrationOutcome[] }) {
  const { t } = useTranslation();
  if (outcomes.length === 0) {
    return (
      <Text>
        {t(
          "When it came, there was no integration for its PBX or company, so it was sent to nobody.",
        )}
      </Text>
    );
  }
  return (
    <Paper withBorder style={{ overflow: "hidden" }}>
      <Table verticalSpacing="sm" horizontalSpacing="md" aria-label={t("What became of it")}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th scope="col">{t("Integration")}</Table.Th>
            <Table.Th scope="col" visibleFrom="sm">
              {t("Outcome")}
            </Table.Th>
            <Table.Th scope="col" w={{ base: "60%", sm: "auto" }}>
              {t("Why")}
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {outcomes.map((outcome, index) => (
            <Table.Tr key={keyOf(outcome)}>
              <Table.Td style={{ overflowWrap: "anywhere" }}>
                <IntegrationName id={outcome.integrationId} />
                {isRepeated(outcomes, index) && (
                  <Text size="sm" c="dimmed">
                    {t("Sent again on request.")}
                  </Text>
                )}
                <Box hiddenFrom="sm" mt={4}>
                  <StatusBadge status={outcome.status} />
                </Box>
              </Table.Td>
              <Table.Td visibleFrom="sm">
                <StatusBadge status={outcome.status} />
              </Table.Td>
              <Table.Td>
                <Why outcome={outcome} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Paper>
  );
}

/** The reason, and the page on which something can be done about it. */
function Why({ outcome }: { outcome: IntegrationOutcome }) {
  const { t } = useTranslation();
  const { reason, deliveryId, integrationId } = outcome;
  const ofSettings =
    reason === "not_selected" || reason === "unknown_type" || reason === "filtered";
  return (
    <Stack gap={2}>
      {reason && <Text size="sm">{reasonText(t, reason)}</Text>}
      <Progress outcome={outcome} />
      {deliveryId && (
        <Link to="/deliveries/$deliveryId" params={{ deliveryId }} className="link">
          {t("Show the delivery")}
        </Link>
      )}
      {ofSettings && (
        <Link
          to="/integrations/$integrationId"
          params={{ integrationId }}
          search={{ tab: "settings" }}
          className="link"
        >
          {t("Change what the integration gets")}
        </Link>
      )}
      {reason === "licence" && (
        <Link to="/pbxs" className="link">
          {t("Show the PBX's licence")}
        </Link>
      )}
    </Stack>
  );
}

/** What a delivery waits for, and what came of its last attempt. */
function Progress({ outcome: { detail, status } }: { outcome: IntegrationOutcome }) {
  const { t } = useTranslation();
  if (!detail || status === "delivered") return null;
  const { lastAttempt, nextAttemptAt, nextProbeAt, paused, pausedSince, behind } = detail;
  const next = paused ? nextProbeAt : nextAttemptAt;
  return (
    <Text size="sm" component="div">
      {paused && <div>{t("The integration is paused until its receiver answers again.")}</div>}
      {pausedSince && (
        <div>
          {t("Paused since")}: <Time at={pausedSince} seconds />
        </div>
      )}
      {behind && <div>{t("It waits for an earlier event of the same subject.")}</div>}
      {lastAttempt?.error && (
        <div>
          {t("Last attempt")}: {errorText(t, lastAttempt.error, lastAttempt.statusCode)}
        </div>
      )}
      {status === "pending" && next && (
        <div>
          {t("Next attempt")}: <Time at={next} seconds />
        </div>
      )}
    </Text>
  );
}

/** All events of one subject, such as a call, in the order of their own times. */
function EventTimeline({ subject, shown }: { subject: string; shown: string }) {
  const { t } = useTranslation();
  const list = useQuery(listEventsOptions({ query: { subject, limit: LONGEST_TIMELINE } }));
  const events = (list.data?.items ?? []).toSorted((one, other) => one.time - other.time);
  const records = useQueries({
    queries: events.map(({ eventId }) => getEventOptions({ path: { eventId } })),
  });
  if (list.isPending) return <Waiting />;
  if (list.isError) return <Problem error={list.error} />;
  return (
    <Stack aria-busy={records.some(({ isPending }) => isPending)}>
      <Title order={2}>{t("Timeline")}</Title>
      <Text size="sm" c="dimmed">
        {t("Every event of this subject, such as one call, and what each integration got of it.")}
      </Text>
      <Timeline
        bulletSize={16}
        lineWidth={2}
        active={events.findIndex(({ eventId }) => eventId === shown)}
      >
        {events.map((event, index) => (
          <Timeline.Item
            key={event.eventId}
            title={<Step event={event} shown={event.eventId === shown} />}
          >
            <Stack gap={4} mt={4}>
              {records[index]?.data?.outcomes.map((outcome) => (
                <Text key={keyOf(outcome)} size="sm" component="div">
                  <IntegrationName id={outcome.integrationId} />{" "}
                  <StatusBadge status={outcome.status} />{" "}
                  {outcome.reason && reasonText(t, outcome.reason)}
                </Text>
              ))}
            </Stack>
          </Timeline.Item>
        ))}
      </Timeline>
      {list.data?.next && (
        <Text size="sm">
          <Link to="/events" search={{ subject }} className="link">
            {t("Show all events of this subject")}
          </Link>
        </Text>
      )}
    </Stack>
  );
}

function Step({ event, shown }: { event: EventSummary; shown: boolean }) {
  return (
    <>
      {shown ? (
        <b>{event.type}</b>
      ) : (
        <Link to="/events/$eventId" params={{ eventId: event.eventId }} className="link">
          {event.type}
        </Link>
      )}{" "}
      <Text span size="sm" c="dimmed">
        <Time at={event.time} seconds />
      </Text>
    </>
  );
}

/** An integration has several deliveries of an event that was sent again. */
function keyOf({ integrationId, deliveryId }: IntegrationOutcome): string {
  return deliveryId ?? integrationId;
}

function isRepeated(outcomes: readonly IntegrationOutcome[], index: number): boolean {
  const { integrationId } = outcomes[index]!;
  return outcomes.findIndex((outcome) => outcome.integrationId === integrationId) < index;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "–";
}
