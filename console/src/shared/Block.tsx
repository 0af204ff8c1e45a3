import { Group, Paper, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { CopyIcon } from "./Copyable";
import { pretty } from "./format";

/** A body as it was sent or answered: text alone, whatever is in it. */
export function Block({ title, text }: { title: string; text: string }) {
  const { t } = useTranslation();
  return (
    <Stack gap={4}>
      <Group justify="space-between">
        <Text size="sm" fw={600}>
          {title}
        </Text>
        {text && <CopyIcon value={text} label={t("Copy")} />}
      </Group>
      <Paper withBorder p="sm" bg="var(--block)">
        <pre className="mono block" tabIndex={0} aria-label={title}>
          {text ? pretty(text) : t("(empty)")}
        </pre>
      </Paper>
    </Stack>
  );
}

/** A line of facts: name and value. */
export function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <Text size="xs" c="dimmed">
        {name}
      </Text>
      <Text component="div" className="break">
        {children}
      </Text>
    </div>
  );
}
