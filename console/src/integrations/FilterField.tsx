import {
  ActionIcon,
  Autocomplete,
  Button,
  Group,
  Input,
  JsonInput,
  Menu,
  Select,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import type { TFunction } from "i18next";
import { Braces, ListFilter, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import {
  type Condition,
  type Operator,
  OPERATORS,
  type Pattern,
  type Recipe,
  RECIPES,
  toConditions,
  toPattern,
} from "./pattern";

interface Props {
  /** The pattern as JSON; empty for none. */
  value: string;
  /** Paths that events have, for the names of fields. */
  fields: readonly string[];
  onChange: (value: string) => void;
  /** A recipe's rows were put in; what types it is about is for the form. */
  onRecipe: (recipe: Recipe) => void;
  error: React.ReactNode;
}

const WITHOUT_VALUE = new Set<Operator>(["exists", "missing"]);

/** A content filter: rows that must all match, and beside them the pattern itself; either can be edited. */
export function FilterField({ value, fields, onChange, onRecipe, error }: Props) {
  const { t } = useTranslation();
  const [rows, setRows] = useState<readonly Condition[] | null>(() => rowsOf(value));
  const [opened, setOpened] = useState(value !== "");

  function change(next: readonly Condition[]): void {
    setRows(next);
    setOpened(true);
    const pattern = toPattern(next);
    onChange(pattern === null ? "" : JSON.stringify(pattern, null, 2));
  }

  function write(json: string): void {
    setRows(rowsOf(json));
    onChange(json);
  }

  return (
    <Input.Wrapper
      className="wide"
      maw={1080}
      label={t("Filter")}
      labelElement="div"
      description={t(
        "Of the chosen types, only events that match. All rows must match; of rows with the same field, one.",
      )}
      error={error}
    >
      <Stack gap="xs" mt="xs">
        {opened && (
          <SimpleGrid cols={{ base: 1, md: 2 }}>
            {rows === null ? (
              <Text size="sm" c="dimmed">
                {t("Rows cannot show this pattern; edit it as JSON.")}
              </Text>
            ) : (
              <Rows rows={rows} fields={fields} onChange={change} />
            )}
            <JsonInput
              aria-label={t("The filter as JSON")}
              placeholder='{"data": {"flows": {"direction": ["INBOUND"]}}}'
              autosize
              minRows={4}
              maxRows={20}
              spellCheck={false}
              classNames={{ input: "mono" }}
              value={value}
              onChange={write}
            />
          </SimpleGrid>
        )}
        <Group gap="xs">
          <Button
            size="xs"
            variant="subtle"
            leftSection={<Plus size={14} />}
            disabled={rows === null}
            onClick={() => change([...(rows ?? []), { field: "", operator: "is", value: "" }])}
          >
            {t("Add a row")}
          </Button>
          <Menu position="bottom-start">
            <Menu.Target>
              <Button size="xs" variant="subtle" leftSection={<ListFilter size={14} />}>
                {t("Start from an example")}
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              {(Object.keys(RECIPES) as Recipe[]).map((recipe) => (
                <Menu.Item
                  key={recipe}
                  onClick={() => {
                    change(RECIPES[recipe].rows);
                    onRecipe(recipe);
                  }}
                >
                  {recipeText(t, recipe)}
                </Menu.Item>
              ))}
            </Menu.Dropdown>
          </Menu>
          {!opened && (
            <Button
              size="xs"
              variant="subtle"
              leftSection={<Braces size={14} />}
              onClick={() => setOpened(true)}
            >
              {t("Write JSON")}
            </Button>
          )}
        </Group>
      </Stack>
    </Input.Wrapper>
  );
}

interface RowsProps {
  rows: readonly Condition[];
  fields: readonly string[];
  onChange: (rows: readonly Condition[]) => void;
}

function Rows({ rows, fields, onChange }: RowsProps) {
  const { t } = useTranslation();
  const put = (index: number, part: Partial<Condition>) =>
    onChange(rows.map((row, at) => (at === index ? { ...row, ...part } : row)));
  return (
    <Stack gap="xs">
      {rows.length === 0 && (
        <Text size="sm" c="dimmed">
          {t("There is no row yet: all events of the chosen types pass.")}
        </Text>
      )}
      {rows.map((row, index) => (
        <Group key={index} gap={6} align="flex-start" wrap="nowrap">
          <Group gap={6} flex={1}>
            <Autocomplete
              aria-label={t("Field of row {{number}}", { number: index + 1 })}
              placeholder="data.flows.direction"
              flex="3 1 150px"
              data={[...fields]}
              limit={20}
              value={row.field}
              onChange={(field) => put(index, { field })}
            />
            <Select
              aria-label={t("Operator of row {{number}}", { number: index + 1 })}
              flex="2 1 105px"
              allowDeselect={false}
              value={row.operator}
              onChange={(operator) => operator && put(index, { operator: operator as Operator })}
              data={OPERATORS.map((operator) => ({
                value: operator,
                label: operatorText(t, operator),
              }))}
            />
            {!WITHOUT_VALUE.has(row.operator) && (
              <TextInput
                aria-label={t("Value of row {{number}}", { number: index + 1 })}
                placeholder="INBOUND"
                flex="2 1 90px"
                value={row.value}
                onChange={(event) => put(index, { value: event.currentTarget.value })}
              />
            )}
          </Group>
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
    </Stack>
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

function recipeText(t: TFunction, recipe: Recipe): string {
  switch (recipe) {
    case "missed":
      return t("Only missed calls");
    case "inbound":
      return t("Only calls from outside");
    case "external":
      return t("No internal calls");
    case "long":
      return t("Only calls with ten seconds of talk or more");
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
