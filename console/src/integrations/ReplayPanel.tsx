import {
  Alert,
  Button,
  Group,
  Paper,
  Progress,
  Radio,
  Stack,
  Switch,
  Text,
  TextInput,
  Title,
} from "@mantine/core";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { asApiError } from "../api/problems";
import type { Integration, Replay, ReplayCreate } from "../client";
import {
  cancelReplayMutation,
  listReplaysInfiniteOptions,
  startReplayMutation,
} from "../client/@tanstack/react-query.gen";
import { localeOf } from "../i18n";
import { Problem } from "../layout/Failures";
import { fromLocalInput, toLocalInput } from "../shared/format";
import { ShowMore } from "../shared/Listing";
import { jobStateText, RUNNING } from "../shared/states";
import { Time } from "../shared/Time";

const HOUR = 3_600_000; // milliseconds
const AGAIN = 1_000; // milliseconds, while a replay runs

type Which = "failed" | "all" | "skipped";

/** Sends what an integration got, or missed, in a period again: counted first, then as a job. */
export function ReplayPanel({ integration }: { integration: Integration }) {
  const { t, i18n } = useTranslation();
  const queries = useQueryClient();
  const [since, setSince] = useState(() => toLocalInput(new Date(Date.now() - HOUR).toISOString()));
  const [until, setUntil] = useState("");
  const [which, setWhich] = useState<Which>("failed");
  const [missing, setMissing] = useState(false);
  const path = { integrationId: integration.id };
  const count = useMutation(startReplayMutation());
  const start = useMutation({
    ...startReplayMutation(),
    onSuccess: () => {
      count.reset();
      return queries.invalidateQueries();
    },
  });
  const number = new Intl.NumberFormat(localeOf(i18n.language));

  function wanted(): ReplayCreate {
    return {
      since: fromLocalInput(since) ?? new Date(Date.now() - HOUR).toISOString(),
      until: fromLocalInput(until) ?? new Date().toISOString(),
      ...(which !== "all" && { statuses: [which] }),
      ...(missing && { missing }),
    };
  }

  function changed(change: () => void): void {
    change();
    count.reset();
  }

  const counted = count.data && "complete" in count.data ? count.data : null;
  const error = count.error ?? start.error;
  return (
    <Stack maw={760}>
      <Text>
        {t(
          "Sends events of a period again, each as a delivery of its own. Count first; nothing is sent until you say so.",
        )}
      </Text>
      <Group>
        <Button size="xs" variant="default" onClick={() => changed(() => setSince(ago(HOUR)))}>
          {t("The last hour")}
        </Button>
        <Button size="xs" variant="default" onClick={() => changed(() => setSince(ago(24 * HOUR)))}>
          {t("Last 24 hours")}
        </Button>
      </Group>
      <Group align="flex-start">
        <TextInput
          type="datetime-local"
          label={t("From")}
          required
          value={since}
          onChange={(event) => changed(() => setSince(event.currentTarget.value))}
        />
        <TextInput
          type="datetime-local"
          label={t("To")}
          description={t("Empty: now.")}
          inputWrapperOrder={["label", "input", "description", "error"]}
          value={until}
          onChange={(event) => changed(() => setUntil(event.currentTarget.value))}
        />
      </Group>
      <Radio.Group
        label={t("Which deliveries")}
        value={which}
        onChange={(chosen) => changed(() => setWhich(chosen as Which))}
      >
        <Stack gap="xs" mt="xs">
          <Radio value="failed" label={t("Only those that failed")} />
          <Radio
            value="all"
            label={t("Everything of this period")}
            description={t("Also what was delivered: the receiver gets it a second time.")}
          />
          <Radio value="skipped" label={t("Only those that were not sent")} />
        </Stack>
      </Radio.Group>
      <Switch
        label={t("Also events that it never got")}
        description={t(
          "From before the integration existed or while it was disabled, where it would get them today.",
        )}
        checked={missing}
        onChange={(event) => changed(() => setMissing(event.currentTarget.checked))}
      />
      {error && <Problem error={error} />}
      {counted ? (
        <Alert
          color="cyan"
          role="status"
          title={t("{{amount}} deliveries would be queued", {
            count: counted.total,
            amount: `${counted.complete ? "" : "> "}${number.format(counted.total)}`,
          })}
        >
          {counted.total === 0 && which === "failed" && (
            <Text size="sm" mb="sm">
              {t("Nothing failed in this period. To send all of it again, choose everything.")}
            </Text>
          )}
          <Group>
            <Button
              loading={start.isPending}
              disabled={counted.total === 0}
              onClick={() => start.mutate({ path, body: wanted() })}
            >
              {t("Send them again")}
            </Button>
            <Button variant="default" onClick={() => count.reset()}>
              {t("Cancel")}
            </Button>
          </Group>
        </Alert>
      ) : (
        <Group>
          <Button
            loading={count.isPending}
            onClick={() => count.mutate({ path, body: { ...wanted(), dryRun: true } })}
          >
            {t("Count")}
          </Button>
        </Group>
      )}
      <Replays integrationId={integration.id} />
    </Stack>
  );
}

function Replays({ integrationId }: { integrationId: string }) {
  const { t } = useTranslation();
  const list = useInfiniteQuery({
    ...listReplaysInfiniteOptions({ path: { integrationId } }),
    initialPageParam: { path: { integrationId } },
    getNextPageParam: (page) => page.next ?? undefined,
    refetchInterval: ({ state }) =>
      state.data?.pages.some(({ items }) => items.some((replay) => RUNNING.has(replay.state)))
        ? AGAIN
        : false,
  });
  const replays = list.data?.pages.flatMap(({ items }) => items) ?? [];
  if (list.isError) return <Problem error={list.error} />;
  if (replays.length === 0) return null;
  return (
    <>
      <Title order={2}>{t("Replays so far")}</Title>
      {replays.map((replay) => (
        <Job key={replay.id} replay={replay} />
      ))}
      {list.hasNextPage && (
        <Group>
          <ShowMore list={list} />
        </Group>
      )}
    </>
  );
}

function Job({ replay }: { replay: Replay }) {
  const { t, i18n } = useTranslation();
  const queries = useQueryClient();
  const number = new Intl.NumberFormat(localeOf(i18n.language));
  const cancel = useMutation({
    ...cancelReplayMutation(),
    onSuccess: () => queries.invalidateQueries(),
  });
  const share = replay.total ? (100 * replay.queued) / replay.total : 0;
  return (
    <Paper withBorder p="md">
      <Stack gap="xs">
        <Group justify="space-between">
          <Text fw={600}>{jobStateText(t, replay.state)}</Text>
          {RUNNING.has(replay.state) && (
            <Button
              size="xs"
              variant="default"
              loading={cancel.isPending}
              onClick={() => cancel.mutate({ path: { replayId: replay.id } })}
            >
              {t("Cancel the replay")}
            </Button>
          )}
        </Group>
        <Text size="sm">
          <Time at={replay.since} /> – <Time at={replay.until} />
        </Text>
        {RUNNING.has(replay.state) && <Progress value={share} aria-label={t("Progress")} />}
        <Text size="sm">
          {t(
            "{{queued}} of {{total}} queued: {{delivered}} delivered, {{failed}} failed, {{skipped}} not sent",
            {
              queued: number.format(replay.queued),
              total: replay.total === null ? "…" : number.format(replay.total),
              delivered: number.format(replay.delivered),
              failed: number.format(replay.failed),
              skipped: number.format(replay.skipped),
            },
          )}
        </Text>
        {cancel.error && <Problem error={asApiError(cancel.error)} />}
      </Stack>
    </Paper>
  );
}

function ago(milliseconds: number): string {
  return toLocalInput(new Date(Date.now() - milliseconds).toISOString());
}
