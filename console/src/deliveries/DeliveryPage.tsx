import { Button, Group, Paper, SimpleGrid, Stack, Text, Timeline, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { RotateCw } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { Attempt, Delivery } from "../client";
import { getDeliveryOptions, retryDeliveryMutation } from "../client/@tanstack/react-query.gen";
import { localeOf } from "../i18n";
import { Problem } from "../layout/Failures";
import { Block, Fact } from "../shared/Block";
import { Copyable } from "../shared/Copyable";
import { milliseconds } from "../shared/format";
import { IntegrationName } from "../shared/IntegrationName";
import { Waiting } from "../shared/Listing";
import { Page } from "../shared/Page";
import { errorText, reasonText, StatusBadge, tlsText } from "../shared/states";
import { Time } from "../shared/Time";

const route = getRouteApi("/deliveries/$deliveryId");
const AGAIN = 1_000; // milliseconds, while it is on its way
const COLOURS = { delivered: "teal.9", retry: "orange.9", failed: "red.9" } as const;

export function DeliveryPage() {
  const { deliveryId } = route.useParams();
  const delivery = useQuery({
    ...getDeliveryOptions({ path: { deliveryId } }),
    refetchInterval: ({ state }) => (state.data?.status === "pending" ? AGAIN : false),
  });
  if (delivery.isPending) return <Waiting />;
  if (delivery.isError)
    return <Problem error={delivery.error} retry={() => void delivery.refetch()} />;
  return <Shown delivery={delivery.data} />;
}

function Shown({ delivery }: { delivery: Delivery }) {
  const { t } = useTranslation();
  return (
    <Page
      title={t("Delivery of {{type}}", { type: delivery.type })}
      actions={<Retry delivery={delivery} />}
    >
      <Group gap="sm">
        <StatusBadge status={delivery.status} />
        {delivery.reason && <Text>{reasonText(t, delivery.reason)}</Text>}
        {delivery.replay && <Text c="dimmed">{t("Sent again on request.")}</Text>}
        {delivery.status === "pending" && delivery.nextAttemptAt && (
          <Text>
            {t("Next attempt")}: <Time at={delivery.nextAttemptAt} seconds />
          </Text>
        )}
      </Group>
      <Paper withBorder p="md">
        <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }}>
          <Fact name={t("Queued")}>
            <Time at={delivery.createdAt} seconds />
          </Fact>
          <Fact name={t("Integration")}>
            <IntegrationName id={delivery.integrationId} />
          </Fact>
          <Fact name={t("Event")}>
            <Link to="/events/$eventId" params={{ eventId: delivery.eventId }} className="link">
              {t("Show the event")}
            </Link>
          </Fact>
          <Fact name="webhook-id">
            <Copyable value={delivery.id} label={t("Copy the id")} />
          </Fact>
        </SimpleGrid>
      </Paper>
      <Title order={2}>{t("Attempts")}</Title>
      {delivery.attempts.length === 0 ? (
        <Text c="dimmed">{t("There was no attempt yet.")}</Text>
      ) : (
        <Timeline active={delivery.attempts.length} bulletSize={18} lineWidth={2}>
          {delivery.attempts.map((attempt) => (
            <Timeline.Item
              key={attempt.number}
              color={COLOURS[attempt.outcome]}
              title={t("Attempt {{number}}", { number: attempt.number })}
            >
              <AttemptFacts attempt={attempt} />
            </Timeline.Item>
          ))}
        </Timeline>
      )}
    </Page>
  );
}

function AttemptFacts({ attempt }: { attempt: Attempt }) {
  const { t, i18n } = useTranslation();
  const facts = [
    attempt.statusCode !== null ? `HTTP ${attempt.statusCode}` : undefined,
    milliseconds(localeOf(i18n.language), attempt.durationMs),
    attempt.error ? errorText(t, attempt.error, attempt.statusCode) : undefined,
    attempt.tlsReason ? tlsText(t, attempt.tlsReason) : undefined,
    attempt.responseDefect ? t("It was not proper HTTP/1.1.") : undefined,
  ];
  return (
    <Stack gap="xs" mt={4}>
      <Text size="sm">
        <Time at={attempt.startedAt} seconds /> · {facts.filter(Boolean).join(" · ")}
      </Text>
      {attempt.responseBody && <Block title={t("The answer's body")} text={attempt.responseBody} />}
    </Stack>
  );
}

function Retry({ delivery }: { delivery: Delivery }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const retry = useMutation({
    ...retryDeliveryMutation(),
    onSuccess: () => queries.invalidateQueries(),
  });
  return (
    <Stack gap="xs">
      <Button
        leftSection={<RotateCw size={16} />}
        loading={retry.isPending}
        onClick={() => retry.mutate({ path: { deliveryId: delivery.id } })}
      >
        {t("Send again now")}
      </Button>
      {retry.error && <Problem error={retry.error} />}
    </Stack>
  );
}
