import "@mantine/charts/styles.css";

import { BarChart, LineChart } from "@mantine/charts";
import { Group, Paper, SegmentedControl, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { StatisticsBucket } from "../client";
import { getIntegrationStatisticsOptions } from "../client/@tanstack/react-query.gen";
import { localeOf } from "../i18n";
import { Problem } from "../layout/Failures";
import { milliseconds } from "../shared/format";
import { Waiting } from "../shared/Listing";

const AGAIN = 60_000; // milliseconds: the newest bucket grows while one looks

/** Outcomes and times of an integration, by hour or by day. */
export default function Charts({ integrationId }: { integrationId: string }) {
  const { t } = useTranslation();
  const [interval, setInterval] = useState<"hour" | "day">("hour");
  const statistics = useQuery({
    ...getIntegrationStatisticsOptions({ path: { integrationId }, query: { interval } }),
    refetchInterval: AGAIN,
  });
  return (
    <Stack>
      <Group>
        <SegmentedControl
          aria-label={t("Period")}
          value={interval}
          onChange={(chosen) => setInterval(chosen === "day" ? "day" : "hour")}
          data={[
            { value: "hour", label: t("Last 24 hours") },
            { value: "day", label: t("Last 30 days") },
          ]}
        />
      </Group>
      {statistics.isPending && <Waiting />}
      {statistics.isError && <Problem error={statistics.error} />}
      {statistics.data && <Drawn buckets={statistics.data.buckets} interval={interval} />}
    </Stack>
  );
}

function Drawn({ buckets, interval }: { buckets: StatisticsBucket[]; interval: "hour" | "day" }) {
  const { t, i18n } = useTranslation();
  const format = new Intl.DateTimeFormat(
    localeOf(i18n.language),
    interval === "hour"
      ? { hour: "numeric", minute: "2-digit" }
      : { day: "numeric", month: "short" },
  );
  const total = (count: (bucket: StatisticsBucket) => number) =>
    buckets.reduce((sum, bucket) => sum + count(bucket), 0);
  const number = new Intl.NumberFormat(localeOf(i18n.language));
  const data = buckets.map((bucket) => ({
    at: format.format(new Date(bucket.start)),
    [t("Delivered")]: bucket.delivered,
    [t("Failed")]: bucket.failed,
    [t("Not sent")]: bucket.skipped,
  }));
  const times = (of: "attemptMs" | "latencyMs") =>
    buckets.map((bucket) => ({
      at: format.format(new Date(bucket.start)),
      [t("Half within")]: bucket[of].p50,
      [t("99 % within")]: bucket[of].p99,
    }));
  const nothing = (of: "attemptMs" | "latencyMs") =>
    buckets.every((bucket) => bucket[of].p50 === null);
  return (
    <>
      <Paper withBorder p="md">
        <Title order={2} mb="xs">
          {t("Outcomes")}
        </Title>
        <Text size="sm" mb="sm">
          {t(
            "{{delivered}} delivered, {{failed}} failed, {{skipped}} not sent, {{retries}} retries",
            {
              delivered: number.format(total((bucket) => bucket.delivered)),
              failed: number.format(total((bucket) => bucket.failed)),
              skipped: number.format(total((bucket) => bucket.skipped)),
              retries: number.format(total((bucket) => bucket.retries)),
              count: total((bucket) => bucket.retries),
            },
          )}
        </Text>
        <BarChart
          h={240}
          data={data}
          dataKey="at"
          type="stacked"
          withLegend
          legendProps={{ itemSorter: null }}
          series={[
            { name: t("Delivered"), color: "teal.6" },
            { name: t("Failed"), color: "red.6" },
            { name: t("Not sent"), color: "gray.5" },
          ]}
        />
      </Paper>
      <Times
        title={t("How long attempts took")}
        data={times("attemptMs")}
        empty={nothing("attemptMs")}
      />
      <Times
        title={t("How long it took from acceptance to delivery")}
        data={times("latencyMs")}
        empty={nothing("latencyMs")}
        description={t("Waiting and retries included.")}
      />
    </>
  );
}

interface TimesProps {
  title: string;
  description?: string;
  data: Record<string, string | number | null>[];
  empty: boolean;
}

function Times({ title, description, data, empty }: TimesProps) {
  const { t, i18n } = useTranslation();
  return (
    <Paper withBorder p="md">
      <Title order={2} mb="xs">
        {title}
      </Title>
      {description && (
        <Text size="sm" mb="sm">
          {description}
        </Text>
      )}
      {empty ? (
        <Text c="dimmed">{t("Nothing in this time.")}</Text>
      ) : (
        <LineChart
          h={220}
          data={data}
          dataKey="at"
          connectNulls={false}
          withLegend
          legendProps={{ itemSorter: null }}
          yAxisProps={{ width: 70 }}
          valueFormatter={(value) => milliseconds(localeOf(i18n.language), value)}
          series={[
            { name: t("Half within"), color: "cyan.6" },
            { name: t("99 % within"), color: "orange.6" },
          ]}
        />
      )}
    </Paper>
  );
}
