import { Alert, Button, Group, Stack, Table, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { zod4Resolver } from "mantine-form-zod-resolver";
import { useEffect, useState } from "react";
import { flushSync } from "react-dom";
import { useTranslation } from "react-i18next";

import { asApiError } from "../api/problems";
import { getIntegration, type Integration } from "../client";
import {
  getIntegrationQueryKey,
  updateIntegrationMutation,
} from "../client/@tanstack/react-query.gen";
import { Problem, Warnings } from "../layout/Failures";
import { DeliveryFields } from "./DeliveryFields";
import { ContentField, EventsField, TargetFields } from "./Fields";
import { focusFirstError } from "./NewPage";
import { placeErrors, same, schemaOf, toCreate, toPatch, type Values, valuesOf } from "./values";

const STALE = 412;
const COMPARED = [
  "name",
  "url",
  "headers",
  "events",
  "filter",
  "omit",
  "delivery",
  "ordering",
  "rateLimit",
  "maxInFlight",
] as const;

/** Edits an integration; what somebody else has saved meanwhile is never overwritten unseen. */
export function EditForm({ integration }: { integration: Integration }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [base, setBase] = useState(integration); // what the form's values started from
  const [loads, setLoads] = useState(0); // fields with a state of their own start anew after each
  const [theirs, setTheirs] = useState<Integration | null>(null);
  const form = useForm<Values>({
    initialValues: valuesOf(integration),
    validate: zod4Resolver(schemaOf(t, false), { errorPriority: "first" }),
  });
  const path = { integrationId: integration.id };
  const patch = toPatch(valuesOf(base), form.values);
  const changed = Object.keys(patch).length > 0;

  function load(version: Integration, values: Values): void {
    setLoads((before) => before + 1);
    setBase(version);
    setTheirs(null);
    form.setInitialValues(valuesOf(version));
    form.setValues(values);
    form.clearErrors();
  }

  useEffect(() => {
    if (!changed && integration.version !== base.version) load(integration, valuesOf(integration));
  });

  const save = useMutation({
    ...updateIntegrationMutation(),
    onSuccess: (saved) => {
      load(saved, valuesOf(saved));
      queries.setQueryData(getIntegrationQueryKey({ path }), saved);
      notifications.show({ message: t("Saved"), color: "teal" });
    },
    onError: async (error) => {
      const problem = asApiError(error);
      flushSync(() => form.setErrors(placeErrors(problem.fields).errors));
      focusFirstError();
      if (problem.status !== STALE) return;
      const { data } = await getIntegration({ path, throwOnError: true });
      setTheirs(data);
    },
  });

  function submit(): void {
    save.mutate({ path, body: patch, headers: { "If-Match": `"${base.version}"` } });
  }

  const error = save.error && asApiError(save.error);
  const placed = error && placeErrors(error.fields);
  const shown =
    error && error.status !== STALE && (error.fields.length === 0 || placed?.others.length);
  return (
    <form onSubmit={form.onSubmit(submit, focusFirstError)} noValidate>
      <Stack className="form">
        {theirs && (
          <Conflict
            base={valuesOf(base)}
            theirs={valuesOf(theirs)}
            mine={form.values}
            onTakeTheirs={() => load(theirs, valuesOf(theirs))}
            onKeepMine={() => load(theirs, merged(valuesOf(base), valuesOf(theirs), form.values))}
          />
        )}
        <TextInput
          label={t("Name")}
          description={t("Empty: the host of the URL.")}
          {...form.getInputProps("name")}
        />
        <TargetFields form={form} creating={false} />
        <EventsField form={form} />
        <ContentField key={loads} form={form} integrationId={integration.id} />
        <DeliveryFields form={form} />
        {shown && <Problem error={error} />}
        {!changed && <Warnings warnings={save.data?.warnings ?? []} />}
        <Group>
          <Button type="submit" loading={save.isPending} disabled={!changed || theirs !== null}>
            {t("Save")}
          </Button>
          <Button variant="default" disabled={!changed} onClick={() => load(base, valuesOf(base))}>
            {t("Discard changes")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

interface ConflictProps {
  base: Values;
  theirs: Values;
  mine: Values;
  onTakeTheirs: () => void;
  onKeepMine: () => void;
}

function Conflict({ base, theirs, mine, onTakeTheirs, onKeepMine }: ConflictProps) {
  const { t } = useTranslation();
  const different = COMPARED.filter(
    (field) => !same(shown(t, theirs, field), shown(t, mine, field)),
  );
  return (
    <Alert
      color="orange"
      role="alert"
      title={t("Somebody else has saved this integration meanwhile")}
    >
      <Stack>
        <Table.ScrollContainer minWidth={420} type="native">
          <Table aria-label={t("What differs")}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th scope="col">{t("Field")}</Table.Th>
                <Table.Th scope="col">{t("When you opened it")}</Table.Th>
                <Table.Th scope="col">{t("Saved meanwhile")}</Table.Th>
                <Table.Th scope="col">{t("Yours")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {different.map((field) => (
                <Table.Tr key={field}>
                  <Table.Th scope="row">{fieldText(t, field)}</Table.Th>
                  {[base, theirs, mine].map((values, index) => (
                    <Table.Td key={index} className="break">
                      {shown(t, values, field)}
                    </Table.Td>
                  ))}
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
        <Group>
          <Button onClick={onKeepMine}>{t("Put my changes on top")}</Button>
          <Button variant="default" onClick={onTakeTheirs}>
            {t("Take what was saved")}
          </Button>
        </Group>
      </Stack>
    </Alert>
  );
}

/** Start from their version, with each field that I have changed as I have it. */
function merged(base: Values, theirs: Values, mine: Values): Values {
  const changed = COMPARED.filter((field) => !same(base[field], mine[field]));
  return { ...theirs, ...Object.fromEntries(changed.map((field) => [field, mine[field]])) };
}

function shown(t: TFunction, values: Values, field: (typeof COMPARED)[number]): string {
  switch (field) {
    case "headers":
      return values.headers.map(({ name, value }) => `${name}: ${value}`).join("\n") || "–";
    case "events":
      return Object.entries(values.events)
        .map(([group, choice]) =>
          choice === "all" ? t("{{group}}: all", { group }) : choice.join(", "),
        )
        .sort()
        .join("; ");
    case "omit":
      return values.omit.join(", ") || "–";
    case "delivery": {
      const policies = toCreate(values).delivery;
      return policies ? JSON.stringify(policies) : "–";
    }
    default:
      return String(values[field]) || "–";
  }
}

function fieldText(t: TFunction, field: (typeof COMPARED)[number]): string {
  switch (field) {
    case "name":
      return t("Name");
    case "url":
      return t("URL");
    case "headers":
      return t("Headers");
    case "events":
      return t("Types of events");
    case "ordering":
      return t("Order");
    case "rateLimit":
      return t("Most deliveries a second");
    case "maxInFlight":
      return t("Most deliveries under way at once");
    case "filter":
      return t("Filter");
    case "omit":
      return t("Leave out");
    case "delivery":
      return t("Retries and age, by group of events");
  }
}
