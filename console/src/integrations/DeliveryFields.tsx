// How events are delivered: order and pace, and what each group's events are worth.
import {
  Button,
  Collapse,
  Fieldset,
  Input,
  NumberInput,
  Select,
  SimpleGrid,
  Stack,
  Switch,
  Text,
  TextInput,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { ChevronDown, ChevronRight } from "lucide-react";
import { useTranslation } from "react-i18next";

import { useCatalogue } from "../shared/catalogue";
import type { FieldProps } from "./Fields";
import { NO_POLICY, type Policy } from "./values";

const FIELDS = ["ordering", "rateLimit", "maxInFlight"];

export function DeliveryFields({ form }: FieldProps) {
  const { t } = useTranslation();
  const [opened, { toggle }] = useDisclosure();
  const wrong = Object.keys(form.errors).some(
    (path) => FIELDS.includes(path) || path.startsWith("delivery"),
  );
  const shown = opened || wrong;
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
        {t("Order, pace and retries")}
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
          <SimpleGrid cols={{ base: 1, xs: 2 }}>
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
              description={t("Empty: as many as the target takes well.")}
              min={1}
              max={1000}
              allowDecimal={false}
              {...form.getInputProps("maxInFlight")}
            />
          </SimpleGrid>
          <Policies form={form} />
        </Stack>
      </Collapse>
    </div>
  );
}

/** One set of fields for each group that is chosen, or has a policy already. */
function Policies({ form }: FieldProps) {
  const { t } = useTranslation();
  const catalogue = useCatalogue();
  const { events, delivery } = form.values;
  const groups = [...new Set([...Object.keys(events), ...Object.keys(delivery)])];
  const titles = new Map(catalogue.data?.map(({ name, title }) => [name, title]));
  return (
    <Input.Wrapper
      label={t("Retries and age, by group of events")}
      labelElement="div"
      description={t(
        "How often, for how long and in which state events are sent. A late call state helps nobody; a transcript may come hours later.",
      )}
      error={form.errors.delivery}
    >
      <Stack mt="xs">
        {groups.length === 0 && (
          <Text size="sm" c="dimmed">
            {t("Choose types of events first.")}
          </Text>
        )}
        {groups.map((group) => (
          <PolicyFields
            key={group}
            title={titles.get(group) ?? group}
            value={delivery[group] ?? NO_POLICY}
            error={form.errors[`delivery.${group}`]}
            onChange={(policy) => {
              form.setFieldValue("delivery", { ...delivery, [group]: policy });
              form.clearFieldError(`delivery.${group}`);
            }}
          />
        ))}
      </Stack>
    </Input.Wrapper>
  );
}

interface PolicyProps {
  title: string;
  value: Policy;
  error: React.ReactNode;
  onChange: (policy: Policy) => void;
}

function PolicyFields({ title, value, error, onChange }: PolicyProps) {
  const { t } = useTranslation();
  const change = (part: Partial<Policy>) => onChange({ ...value, ...part });
  return (
    <Fieldset legend={title}>
      <Stack gap="sm">
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <Select
            label={t("Retries")}
            allowDeselect={false}
            data={[
              { value: "default", label: t("As the service is set") },
              { value: "none", label: t("None") },
              { value: "own", label: t("After these seconds") },
            ]}
            value={value.retries}
            onChange={(retries) => retries && change({ retries: retries as Policy["retries"] })}
            error={value.retries === "own" ? undefined : error}
          />
          {value.retries === "own" && (
            <TextInput
              label={t("Seconds before each retry")}
              placeholder="5, 300, 3600"
              value={value.retryDelays}
              onChange={(event) => change({ retryDelays: event.currentTarget.value })}
              error={error}
            />
          )}
          <NumberInput
            label={t("Not sent when older than, in seconds")}
            placeholder={t("any age")}
            min={1}
            max={2592000}
            value={value.maxAge}
            onChange={(maxAge) => change({ maxAge: typeof maxAge === "number" ? maxAge : "" })}
          />
        </SimpleGrid>
        <Switch
          label={t("Only the newest state")}
          description={t(
            "While several of one type and subject wait, the older ones are not sent.",
          )}
          checked={value.latest}
          onChange={(event) => change({ latest: event.currentTarget.checked })}
        />
      </Stack>
    </Fieldset>
  );
}
