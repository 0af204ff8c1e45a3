import { Accordion, Alert, Badge, Group, Loader, Stack, Text } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import { asApiError } from "../api/problems";
import { tryFilter, type TriedEvent } from "../client";
import { localeOf } from "../i18n";
import { Problem } from "../layout/Failures";
import { Block } from "../shared/Block";
import { TypeName } from "../shared/TypeName";
import { filterOf } from "./values";

const TYPING = 500; // milliseconds after the last key until it is tried
const SHOWN = 8; // events; the count is of all

interface Props {
  filter: string;
  omit: string[];
  /** The chosen types: of the catalogue's examples, those of others say nothing. */
  types: ReadonlySet<string>;
  /** Whose recent events it is tried on; the catalogue's examples for one that is not made yet. */
  integrationId?: string | undefined;
}

/** Tries a filter and what copies leave out on real events, while they are being edited. */
export function FilterTrial({ filter, omit, types, integrationId }: Props) {
  const { t } = useTranslation();
  const [wanted] = useDebouncedValue({ filter, omit }, TYPING);
  const pattern = filterOf(wanted.filter);
  const trial = useQuery({
    queryKey: ["tryFilter", wanted, integrationId],
    queryFn: async ({ signal }) => {
      const body = { filter: pattern ?? null, omit: wanted.omit };
      const recent = integrationId
        ? (await tryFilter({ body: { ...body, integrationId }, signal, throwOnError: true })).data
        : undefined;
      if (recent && recent.items.length > 0) return { ...recent, recent: true };
      const { data } = await tryFilter({ body, signal, throwOnError: true });
      return { ...data, recent: false };
    },
    enabled: pattern !== undefined && (filter !== "" || omit.length > 0),
    placeholderData: keepPreviousData,
    retry: false,
  });
  if (filter === "" && omit.length === 0) return null;
  if (pattern === undefined) return null; // half typed: the field itself says so
  if (trial.isError) {
    const problem = asApiError(trial.error);
    if (problem.fields.length === 0) return <Problem error={problem} />;
    return (
      <Alert color="orange" role="status" title={t("The filter cannot be used yet")}>
        {problem.fields.map(({ path, message }) => (
          <Text size="sm" key={path} className="break">
            <b>{path}</b>: {message}
          </Text>
        ))}
      </Alert>
    );
  }
  if (trial.data === undefined) return <Loader size="sm" aria-label={t("Loading")} />;
  const items = trial.data.recent
    ? trial.data.items
    : trial.data.items.filter(({ type }) => types.has(type));
  return (
    <>
      {trial.data.warnings.map(({ path, message }) => (
        <Text size="sm" key={path} className="break" role="status">
          <b>{path}</b>: {message}
        </Text>
      ))}
      <Tried items={items} recent={trial.data.recent} omitting={omit.length > 0} />
    </>
  );
}

interface TriedProps {
  items: readonly TriedEvent[];
  recent: boolean;
  omitting: boolean;
}

function Tried({ items, recent, omitting }: TriedProps) {
  const { t, i18n } = useTranslation();
  const number = new Intl.NumberFormat(localeOf(i18n.language));
  const passing = items.filter(({ passes }) => passes).length;
  const count = items.length;
  const counts = { passing: number.format(passing), total: number.format(count) };
  return (
    <Stack gap="xs">
      <Text size="sm" fw={600} role="status">
        {count === 0
          ? t("Choose types of events to try the filter on examples of them.")
          : recent
            ? t("{{passing}} of the last {{total}} events pass", { ...counts, count })
            : t("{{passing}} of {{total}} example events pass", { ...counts, count })}
      </Text>
      {items.length > 0 && (
        <Accordion variant="contained" multiple>
          {items.slice(0, SHOWN).map((item, index) => (
            <Accordion.Item key={item.eventId ?? index} value={String(index)}>
              <Accordion.Control>
                <Group gap="xs">
                  <Badge
                    variant="outline"
                    tt="none"
                    className="state"
                    color={item.passes ? "teal" : "gray"}
                  >
                    {item.passes ? t("Passes") : t("Filtered")}
                  </Badge>
                  <TypeName name={item.type} />
                  {item.refusedBy && (
                    <Text size="sm" c="dimmed" className="break">
                      {t("because of {{path}}", { path: item.refusedBy })}
                    </Text>
                  )}
                  {omitting && (
                    <Text size="sm" c="dimmed">
                      {t("{{amount}} bytes", { amount: number.format(item.bytes) })}
                    </Text>
                  )}
                </Group>
              </Accordion.Control>
              <Accordion.Panel>
                <Block title={t("The copy as it would be sent")} text={item.body ?? ""} />
              </Accordion.Panel>
            </Accordion.Item>
          ))}
        </Accordion>
      )}
    </Stack>
  );
}
