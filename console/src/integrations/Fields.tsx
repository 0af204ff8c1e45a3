// The fields of an integration, as the form of a new one and that of an existing one show them.
import {
  ActionIcon,
  Button,
  Group,
  Input,
  PasswordInput,
  SegmentedControl,
  Stack,
  TagsInput,
  Text,
  TextInput,
} from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import { Plus, Trash2 } from "lucide-react";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";

import { useCatalogue } from "../shared/catalogue";
import { EventTree } from "./EventTree";
import { FilterField } from "./FilterField";
import { FilterTrial } from "./FilterTrial";
import { pathsOf, type Recipe, RECIPES } from "./pattern";
import { isChosen, toggleType } from "./selection";
import { header, type Values } from "./values";

export type IntegrationForm = UseFormReturnType<Values>;

export interface FieldProps {
  form: IntegrationForm;
}

export function TransmissionTypeField({ form }: FieldProps) {
  const { t } = useTranslation();
  return (
    <Input.Wrapper label={t("Transmission type")} labelElement="div" id="transmission-type">
      <SegmentedControl
        fullWidth
        aria-label={t("Transmission type")}
        data={[
          { value: "WEBHOOK", label: "WEBHOOK" },
          { value: "AWS_SQS", label: "AWS SQS" },
        ]}
        {...form.getInputProps("type")}
      />
      <Text size="sm" c="dimmed" mt={4}>
        {form.values.type === "WEBHOOK"
          ? t("JSON by POST to a URL of yours.")
          : t("Messages to an Amazon SQS queue of yours; the region is in the queue's URL.")}
      </Text>
    </Input.Wrapper>
  );
}

export function TargetFields({ form, creating }: FieldProps & { creating: boolean }) {
  const { t } = useTranslation();
  if (form.values.type === "WEBHOOK") {
    return (
      <>
        <TextInput
          label={t("URL")}
          description={t("A public HTTPS address with a valid certificate.")}
          placeholder="https://crm.example.com/hook"
          inputMode="url"
          required
          {...form.getInputProps("url")}
        />
        <Headers form={form} />
      </>
    );
  }
  return (
    <>
      <TextInput
        label={t("SQS URL")}
        placeholder="https://sqs.eu-central-1.amazonaws.com/123456789012/pbx-events"
        inputMode="url"
        required
        {...form.getInputProps("url")}
      />
      <TextInput
        label={t("AWS Key")}
        description={
          creating ? t("The access key's id.") : t("Leave it empty to keep the stored one.")
        }
        autoComplete="off"
        spellCheck={false}
        required={creating}
        {...form.getInputProps("accessKeyId")}
      />
      <PasswordInput
        label={t("Secret")}
        description={
          creating
            ? t("The AWS secret access key. It also signs the messages, and is never shown again.")
            : t("Leave it empty to keep the stored one.")
        }
        autoComplete="new-password"
        visibilityToggleButtonProps={{ "aria-label": t("Show or hide what is typed") }}
        required={creating}
        {...form.getInputProps("secretAccessKey")}
      />
    </>
  );
}

function Headers({ form }: FieldProps) {
  const { t } = useTranslation();
  return (
    <Input.Wrapper
      label={t("Headers")}
      labelElement="div"
      description={t("Sent with every request, for receivers that ask for some.")}
      error={form.errors.headers}
    >
      <Stack gap="xs" mt={form.values.headers.length > 0 ? "xs" : 0}>
        {form.values.headers.map(({ id, name }, index) => (
          <Group key={id} gap="xs" wrap="nowrap" align="flex-start">
            <TextInput
              aria-label={t("Name of header {{number}}", { number: index + 1 })}
              placeholder="X-Tenant"
              flex={1}
              {...form.getInputProps(`headers.${index}.name`)}
            />
            <TextInput
              aria-label={t("Value of header {{number}}", { number: index + 1 })}
              flex={2}
              {...form.getInputProps(`headers.${index}.value`)}
            />
            <ActionIcon
              size={36}
              variant="subtle"
              color="gray"
              aria-label={t("Remove the header {{name}}", { name })}
              onClick={() => form.removeListItem("headers", index)}
            >
              <Trash2 size={16} />
            </ActionIcon>
          </Group>
        ))}
        <Group>
          <Button
            size="xs"
            variant="subtle"
            leftSection={<Plus size={14} />}
            onClick={() => form.insertListItem("headers", header())}
          >
            {t("Add a header")}
          </Button>
        </Group>
      </Stack>
    </Input.Wrapper>
  );
}

export function EventsField({ form }: FieldProps) {
  const { error, value, onChange } = form.getInputProps("events");
  return <EventTree value={value} onChange={onChange} error={error} />;
}

/** Which of the chosen events, and what of them: filter and omissions, tried while they are edited. */
export function ContentField({ form, integrationId }: FieldProps & { integrationId?: string }) {
  const { t } = useTranslation();
  const catalogue = useCatalogue();
  const { events, filter, omit } = form.values;
  const groups = useMemo(() => catalogue.data ?? [], [catalogue.data]);
  const chosen = useMemo(
    () =>
      groups.flatMap((group) => group.types.filter(({ name }) => isChosen(events, group, name))),
    [groups, events],
  );
  const examples = (chosen.length > 0 ? chosen : groups.flatMap(({ types }) => types)).map(
    ({ example }) => example,
  );

  function choose(recipe: Recipe): void {
    const { group, type } = RECIPES[recipe];
    const of = groups.find(({ name }) => name === group);
    if (of && !isChosen(events, of, type))
      form.setFieldValue("events", toggleType(events, of, type));
  }

  return (
    <>
      <FilterField
        value={filter}
        onChange={(next) => form.setFieldValue("filter", next)}
        error={form.errors.filter}
        fields={pathsOf(examples, false)}
        onRecipe={choose}
      />
      <TagsInput
        label={t("Leave out")}
        description={t(
          "Parts that its copies do not hold, for privacy or for receivers that take no long bodies. * stands for each element of a list.",
        )}
        placeholder="data.flows.*.caller.phone"
        data={pathsOf(examples, true).filter((path) => path.startsWith("data."))}
        limit={20}
        splitChars={[",", " "]}
        acceptValueOnBlur
        {...form.getInputProps("omit")}
      />
      <FilterTrial
        filter={filter}
        omit={omit}
        types={new Set(chosen.map(({ name }) => name))}
        integrationId={integrationId}
      />
    </>
  );
}
