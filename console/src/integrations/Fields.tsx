// The fields of an integration, as the form of a new one and that of an existing one show them.
import {
  ActionIcon,
  Button,
  Collapse,
  Group,
  Input,
  NumberInput,
  PasswordInput,
  SegmentedControl,
  Select,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { ChevronDown, ChevronRight, Plus, Trash2 } from "lucide-react";
import { useTranslation } from "react-i18next";

import { EventTree } from "./EventTree";
import { FilterField } from "./FilterField";
import { header, type Values } from "./values";

export type IntegrationForm = UseFormReturnType<Values>;

export function TransmissionTypeField({ form }: { form: IntegrationForm }) {
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

export function TargetFields({ form, creating }: { form: IntegrationForm; creating: boolean }) {
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

function Headers({ form }: { form: IntegrationForm }) {
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

export function EventsField({ form }: { form: IntegrationForm }) {
  const { error, value, onChange } = form.getInputProps("events");
  return <EventTree value={value} onChange={onChange} error={error} />;
}

export function ContentField({ form }: { form: IntegrationForm }) {
  const { value, onChange, error } = form.getInputProps("filter");
  return <FilterField value={value} onChange={onChange} error={error} />;
}

export function DeliveryFields({ form }: { form: IntegrationForm }) {
  const { t } = useTranslation();
  const { ordering, rateLimit, maxInFlight } = form.errors;
  const [opened, { toggle }] = useDisclosure();
  const shown = opened || [ordering, rateLimit, maxInFlight].some((error) => error !== undefined);
  const Chevron = shown ? ChevronDown : ChevronRight;
  return (
    <div>
      <Button
        variant="subtle"
        color="gray"
        px={0}
        leftSection={<Chevron size={16} />}
        onClick={toggle}
        aria-expanded={shown}
      >
        {t("Order and pace")}
      </Button>
      <Collapse expanded={shown}>
        <Stack>
          <Select
            label={t("Order")}
            description={t(
              "With order by subject, the events of one call are delivered strictly one after another.",
            )}
            allowDeselect={false}
            data={[
              { value: "none", label: t("None") },
              { value: "subject", label: t("By subject") },
            ]}
            {...form.getInputProps("ordering")}
          />
          <NumberInput
            label={t("Most deliveries a second")}
            description={t("Empty: no limit.")}
            min={0.1}
            max={1000}
            decimalScale={1}
            {...form.getInputProps("rateLimit")}
          />
          <NumberInput
            label={t("Most deliveries under way at once")}
            min={1}
            max={1000}
            allowDecimal={false}
            {...form.getInputProps("maxInFlight")}
          />
        </Stack>
      </Collapse>
    </div>
  );
}
