import {
  ActionIcon,
  Autocomplete,
  Button,
  Group,
  Input,
  JsonInput,
  SegmentedControl,
  Select,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import type { TFunction } from "i18next";
import { Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import {
  type Condition,
  type Operator,
  OPERATORS,
  type Pattern,
  toConditions,
  toPattern,
} from "./pattern";

interface Props {
  /** The pattern as JSON; empty for none. */
  value: string;
  onChange: (value: string) => void;
  error: React.ReactNode;
}

const WITHOUT_VALUE = new Set<Operator>(["exists", "missing"]);
const FIELDS = [
  "data.direction",
  "data.duration",
  "data.status",
  "data.extension",
  "data.flows.caller.phone",
  "data.flows.callee.phone",
  "data.flows.direction",
];

/** A content filter, as rows that must all match or as the pattern itself. */
export function FilterField({ value, onChange, error }: Props) {
  const { t } = useTranslation();
  const [rows, setRows] = useState<Condition[] | null>(() => rowsOf(value));
  const [asJson, setAsJson] = useState(rows === null);

  function change(next: Condition[]): void {
    setRows(next);
    const pattern = toPattern(next);
    onChange(pattern === null ? "" : JSON.stringify(pattern, null, 2));
  }

  function show(json: boolean): void {
    if (!json) setRows(rowsOf(value));
    setAsJson(json);
  }

  const representable = rowsOf(value) !== null;
  return (
    <Input.Wrapper
      label={t("Filter")}
      labelElement="div"
      description={t(
        "Of the chosen types, only events that match. All rows must match; of rows with the same field, one.",
      )}
      error={error}
    >
      <Stack gap="xs" mt="xs">
        <Group>
          <SegmentedControl
            size="xs"
            aria-label={t("How to edit the filter")}
            value={asJson ? "json" : "rows"}
            onChange={(shown) => show(shown === "json")}
            data={[
              { value: "rows", label: t("Rows"), disabled: asJson && !representable },
              { value: "json", label: "JSON" },
            ]}
          />
          {asJson && !representable && (
            <Text size="sm" c="dimmed">
              {t("Rows cannot show this pattern.")}
            </Text>
          )}
        </Group>
        {asJson ? (
          <JsonInput
            aria-label={t("The filter as JSON")}
            placeholder='{"data": {"direction": ["INBOUND"]}}'
            autosize
            minRows={4}
            maxRows={20}
            value={value}
            onChange={onChange}
          />
        ) : (
          <Rows rows={rows ?? []} onChange={change} />
        )}
      </Stack>
    </Input.Wrapper>
  );
}

function Rows({ rows, onChange }: { rows: Condition[]; onChange: (rows: Condition[]) => void }) {
  const { t } = useTranslation();
  const put = (index: number, part: Partial<Condition>) =>
    onChange(rows.map((row, at) => (at === index ? { ...row, ...part } : row)));
  return (
    <>
      {rows.map((row, index) => (
        <Group key={index} gap="xs" align="flex-start">
          <Autocomplete
            aria-label={t("Field of row {{number}}", { number: index + 1 })}
            placeholder="data.direction"
            flex="2 1 160px"
            data={FIELDS}
            value={row.field}
            onChange={(field) => put(index, { field })}
          />
          <Select
            aria-label={t("Operator of row {{number}}", { number: index + 1 })}
            flex="1 1 130px"
            allowDeselect={false}
            value={row.operator}
            onChange={(operator) => operator && put(index, { operator: operator as Operator })}
            data={OPERATORS.map((operator) => ({
              value: operator,
              label: operatorText(t, operator),
            }))}
          />
          <TextInput
            aria-label={t("Value of row {{number}}", { number: index + 1 })}
            placeholder="INBOUND"
            flex="2 1 120px"
            disabled={WITHOUT_VALUE.has(row.operator)}
            value={row.value}
            onChange={(event) => put(index, { value: event.currentTarget.value })}
          />
          <ActionIcon
            size={36}
            variant="subtle"
            color="gray"
            aria-label={t("Remove row {{number}}", { number: index + 1 })}
            onClick={() => onChange(rows.filter((_, at) => at !== index))}
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
          onClick={() => onChange([...rows, { field: "", operator: "is", value: "" }])}
        >
          {t("Add a row")}
        </Button>
      </Group>
    </>
  );
}

function rowsOf(value: string): Condition[] | null {
  if (value.trim() === "") return [];
  try {
    const pattern: unknown = JSON.parse(value);
    return typeof pattern === "object" && pattern !== null
      ? toConditions(pattern as Pattern)
      : null;
  } catch {
    return null; // half-typed
  }
}

function operatorText(t: TFunction, operator: Operator): string {
  switch (operator) {
    case "is":
      return t("is");
    case "prefix":
      return t("starts with");
    case "suffix":
      return t("ends with");
    case "equals-ignore-case":
      return t("is, in any case");
    case "wildcard":
      return t("is like (with *)");
    case "anything-but":
      return t("is not");
    case "exists":
      return t("is there");
    case "missing":
      return t("is missing");
    default:
      return operator.replace(">=", "≥").replace("<=", "≤");
  }
}
