import {
  Alert,
  Button,
  Group,
  Paper,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
  Title,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { zod4Resolver } from "mantine-form-zod-resolver";
import { useRef, useState } from "react";
import { flushSync } from "react-dom";
import { useTranslation } from "react-i18next";

import { asApiError } from "../api/problems";
import type { Integration } from "../client";
import { createIntegrationMutation } from "../client/@tanstack/react-query.gen";
import { Problem, Warnings } from "../layout/Failures";
import { useSession } from "../session/session";
import { useCatalogue } from "../shared/catalogue";
import { Copyable } from "../shared/Copyable";
import { Waiting } from "../shared/Listing";
import { Page } from "../shared/Page";
import { DeliveryFields } from "./DeliveryFields";
import { ContentField, EventsField, TargetFields, TransmissionTypeField } from "./Fields";
import { NOTHING, placeErrors, schemaOf, toCreate, type Values } from "./values";

/** Add new integration: the form, then the secret of what it has made. */
export function NewPage() {
  const { t } = useTranslation();
  const [made, setMade] = useState<Integration | null>(null);
  const catalogue = useCatalogue(); // awaited, so that nothing moves below who fills the form in
  if (made !== null) return <Made integration={made} />;
  return (
    <Page title={t("Add new integration")}>
      {catalogue.isPending ? <Waiting /> : <NewForm onMade={setMade} />}
    </Page>
  );
}

function NewForm({ onMade }: { onMade: (integration: Integration) => void }) {
  const { t } = useTranslation();
  const admin = useSession()?.role === "admin";
  const queries = useQueryClient();
  const attempt = useRef({ body: "", key: "" });
  const form = useForm<Values>({
    initialValues: NOTHING,
    validate: zod4Resolver(schemaOf(t, true), { errorPriority: "first" }),
  });
  const create = useMutation({
    ...createIntegrationMutation(),
    onSuccess: (integration) => {
      void queries.invalidateQueries();
      onMade(integration);
    },
    onError: (error) => {
      flushSync(() => form.setErrors(placeErrors(asApiError(error).fields).errors));
      focusFirstError();
    },
  });

  function submit(values: Values): void {
    const body = toCreate(values);
    const text = JSON.stringify(body);
    // The same request sent again, after an answer was lost, makes no second integration.
    if (attempt.current.body !== text) attempt.current = { body: text, key: crypto.randomUUID() };
    create.mutate({ body, headers: { "Idempotency-Key": attempt.current.key } });
  }

  const error = create.error && asApiError(create.error);
  const placed = error ? placeErrors(error.fields) : null;
  return (
    <form onSubmit={form.onSubmit(submit, focusFirstError)} noValidate>
      <Stack className="form">
        <TransmissionTypeField form={form} />
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <TextInput
            label="PBX"
            description={
              admin
                ? t("The serial of the PBX whose events it gets.")
                : t("Empty: the PBX of your key.")
            }
            inputWrapperOrder={["label", "input", "description", "error"]}
            placeholder="000000000001"
            {...form.getInputProps("pbx")}
          />
          {(admin || form.errors.company) && (
            <TextInput
              label={t("Company")}
              description={t("For events that name no PBX. Empty: the one on the PBX's record.")}
              inputWrapperOrder={["label", "input", "description", "error"]}
              placeholder="it_w000001"
              {...form.getInputProps("company")}
            />
          )}
        </SimpleGrid>
        <TextInput
          label={t("Name")}
          description={t("Empty: the host of the URL.")}
          inputWrapperOrder={["label", "input", "description", "error"]}
          placeholder="CRM"
          {...form.getInputProps("name")}
        />
        <TargetFields form={form} creating />
        {form.values.type === "WEBHOOK" && (
          <Text size="sm" c="dimmed">
            {t(
              "Secret: generated when you add the integration, and shown to you then. It cannot be edited.",
            )}
          </Text>
        )}
        <EventsField form={form} />
        <ContentField form={form} />
        <DeliveryFields form={form} />
        {error && (error.fields.length === 0 || (placed && placed.others.length > 0)) && (
          <Problem error={error} />
        )}
        <Group>
          <Button type="submit" loading={create.isPending}>
            {t("Add")}
          </Button>
          <Button variant="default" component={Link} to="/integrations">
            {t("Cancel")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function Made({ integration }: { integration: Integration }) {
  const { t } = useTranslation();
  const secret =
    integration.transmission.type === "WEBHOOK" ? integration.transmission.secret : undefined;
  return (
    <Page title={t("{{name}} was added", { name: integration.name })}>
      <Paper withBorder p="lg" maw={760}>
        <Stack>
          {secret ? (
            <>
              <Title order={2}>{t("Secret")}</Title>
              <Text>
                {t(
                  "Your receiver checks with it that a request is from here. Copy it now; you can also show it later on the integration's page.",
                )}
              </Text>
              <Copyable value={secret} label={t("Copy the secret")} />
            </>
          ) : (
            <Alert color="cyan" variant="light">
              {t("Messages are signed with the AWS secret that you have entered.")}
            </Alert>
          )}
          <Warnings warnings={integration.warnings ?? []} />
          <Text>
            {t("Events are delivered from now on.")}{" "}
            <Link
              to="/integrations/$integrationId"
              params={{ integrationId: integration.id }}
              search={{ tab: "test" }}
              className="link"
            >
              {t("Send a test event")}
            </Link>
          </Text>
        </Stack>
      </Paper>
    </Page>
  );
}

/** Move the focus to the first field with an error; errors must be rendered by the next frame. */
export function focusFirstError(): void {
  requestAnimationFrame(() => document.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
}
