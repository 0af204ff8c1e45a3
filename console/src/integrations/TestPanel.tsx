import { Alert, Button, Group, Select, Stack, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { Integration, TestResult } from "../client";
import { testIntegrationMutation } from "../client/@tanstack/react-query.gen";
import { localeOf } from "../i18n";
import { Problem } from "../layout/Failures";
import { Block, Fact } from "../shared/Block";
import { useCatalogue } from "../shared/catalogue";
import { Copyable } from "../shared/Copyable";
import { milliseconds } from "../shared/format";
import { errorText, tlsText } from "../shared/states";

/** Sends the catalogue's example of a type once, and shows what came of it in full. */
export function TestPanel({ integration }: { integration: Integration }) {
  const { t } = useTranslation();
  const groups = useCatalogue().data ?? [];
  const [type, setType] = useState<string | null>("call:completed");
  const test = useMutation(testIntegrationMutation());
  return (
    <Stack maw={760}>
      <Text>
        {t(
          "Sends the catalogue's example of a type once, signed as a real event is, whether the integration has chosen the type or not.",
        )}
      </Text>
      <Group align="flex-end">
        <Select
          label={t("Type of event")}
          searchable
          allowDeselect={false}
          w={320}
          value={type}
          onChange={setType}
          nothingFoundMessage={t("No type of event matches your search.")}
          data={groups.map(({ title, types }) => ({
            group: title,
            items: types.map(({ name }) => name),
          }))}
        />
        <Button
          loading={test.isPending}
          disabled={type === null}
          onClick={() =>
            type && test.mutate({ path: { integrationId: integration.id }, body: { type } })
          }
        >
          {t("Send a test event")}
        </Button>
      </Group>
      {test.error && <Problem error={test.error} />}
      {test.data && (
        <Result result={test.data} queue={integration.transmission.type === "AWS_SQS"} />
      )}
    </Stack>
  );
}

function Result({ result, queue }: { result: TestResult; queue: boolean }) {
  const { t, i18n } = useTranslation();
  const { attempt } = result;
  const well = attempt.outcome === "delivered";
  return (
    <Stack>
      <Alert color={well ? "teal" : "red"} role="status" title={verdictText(t, attempt.outcome)}>
        <Text size="sm">
          {attempt.statusCode !== null && `HTTP ${attempt.statusCode} · `}
          {milliseconds(localeOf(i18n.language), attempt.durationMs)}
          {attempt.error && ` · ${errorText(t, attempt.error, attempt.statusCode)}`}
          {attempt.tlsReason && ` ${tlsText(t, attempt.tlsReason)}`}
        </Text>
        {attempt.hint && <Text size="sm">{attempt.hint}</Text>}
      </Alert>
      {result.filteredBy && (
        <Alert color="orange" role="note">
          {t(
            "The integration's filter does not let this example pass, because of {{path}}. A real event like it would not be sent.",
            { path: result.filteredBy },
          )}
        </Alert>
      )}
      <Fact name="webhook-id">
        <Copyable value={result.deliveryId} label={t("Copy the id")} />
      </Fact>
      {Object.keys(result.headers).length > 0 && (
        <Block
          title={queue ? t("The message's attributes") : t("The headers that were sent")}
          text={Object.entries(result.headers)
            .map(([name, value]) => `${name}: ${value}`)
            .join("\n")}
        />
      )}
      <Block title={t("The body that was sent")} text={result.body} />
      <Block title={t("The answer's body")} text={attempt.responseBody ?? ""} />
    </Stack>
  );
}

function verdictText(t: TFunction, verdict: string): string {
  switch (verdict) {
    case "delivered":
      return t("Delivered");
    case "retry":
      return t("It failed; a real event would be sent again");
    case "rejected":
      return t("The receiver refused it; a real event would not be sent again");
    case "gone":
      return t("The receiver says that it is gone; a real event would disable the integration");
    case "blocked":
      return t("The target's address is not allowed.");
    case "too_large":
      return t("It is too large for the target.");
    default:
      return t("Failed");
  }
}
