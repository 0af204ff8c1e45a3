import { Alert, Button, Group, NumberInput, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { getIntegrationSecret, type Integration } from "../client";
import { rotateIntegrationSecretMutation } from "../client/@tanstack/react-query.gen";
import { Problem } from "../layout/Failures";
import { Fact } from "../shared/Block";
import { Confirm } from "../shared/Confirm";
import { Copyable } from "../shared/Copyable";
import { Time } from "../shared/Time";
import { Snippets } from "./Snippets";

const DEFAULT_GRACE = 24; // hours, as the API's own

/** Shows a webhook's secret on demand, and makes a new one. */
export function SecretPanel({ integration }: { integration: Integration }) {
  const { t } = useTranslation();
  const [rotating, { open, close }] = useDisclosure();
  const [grace, setGrace] = useState<string | number>(DEFAULT_GRACE);
  const path = { integrationId: integration.id };
  const show = useMutation({
    mutationFn: async () => (await getIntegrationSecret({ path, throwOnError: true })).data,
  });
  const rotate = useMutation({
    ...rotateIntegrationSecretMutation(),
    onSuccess: () => {
      close();
      show.mutate();
    },
  });
  if (integration.transmission.type !== "WEBHOOK") {
    return (
      <Alert color="cyan" variant="light" role="note">
        {t(
          "Messages carry the attribute X-SIGNATURE, made with the AWS secret of this integration. That secret is never shown again.",
        )}
      </Alert>
    );
  }
  return (
    <Stack maw={760}>
      <Text>
        {t(
          "Your receiver checks with the secret that a request is from here. It is made by the service and cannot be edited.",
        )}
      </Text>
      {show.data && (
        <>
          <Fact name={t("Secret, for x-signature")}>
            <Copyable value={show.data.secret} label={t("Copy the secret")} />
          </Fact>
          <Fact name={t("The same secret, for Standard Webhooks libraries")}>
            <Copyable value={show.data.standardWebhooksSecret} label={t("Copy the secret")} />
          </Fact>
          {show.data.oldSecretUntil && (
            <Text size="sm">
              {t("The old secret signs along until")} <Time at={show.data.oldSecretUntil} />
            </Text>
          )}
        </>
      )}
      {show.error && <Problem error={show.error} />}
      <Group>
        {!show.data && (
          <Button variant="default" loading={show.isPending} onClick={() => show.mutate()}>
            {t("Show the secret")}
          </Button>
        )}
        <Button variant="default" onClick={open}>
          {t("Make a new secret")}
        </Button>
      </Group>
      <Snippets />
      <Confirm
        opened={rotating}
        onClose={close}
        title={t("Make a new secret?")}
        action={t("Make a new secret")}
        mutation={rotate}
        onConfirm={() => rotate.mutate({ path, body: { gracePeriodHours: Number(grace) } })}
      >
        <Stack>
          <span>
            {t(
              "The header webhook-signature is signed with both secrets for a while; x-signature with the new one at once.",
            )}
          </span>
          <NumberInput
            label={t("Hours in which the old secret signs along")}
            value={grace}
            onChange={setGrace}
            min={0}
            max={720}
            allowDecimal={false}
          />
        </Stack>
      </Confirm>
    </Stack>
  );
}
