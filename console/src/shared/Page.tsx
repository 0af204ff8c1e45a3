import { Group, Stack, Title } from "@mantine/core";
import { type ReactNode, useEffect } from "react";

/** A page's heading, with its actions beside it; names the browser's tab too. */
export function Page({
  title,
  actions,
  children,
}: {
  title: string;
  actions?: ReactNode;
  children: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Hookline`;
  }, [title]);
  return (
    <Stack>
      <Group justify="space-between" align="flex-start" gap="sm">
        <Title order={1} className="break">
          {title}
        </Title>
        {actions && <Group gap="xs">{actions}</Group>}
      </Group>
      {children}
    </Stack>
  );
}
