import { Button, Center, Group, Paper, Skeleton, Stack, Table, Text } from "@mantine/core";
import type { UseInfiniteQueryResult } from "@tanstack/react-query";
import { type ReactNode, useEffect } from "react";
import { useTranslation } from "react-i18next";

import { Problem } from "../layout/Failures";

const SKELETON_ROWS = 5;
const MOST_EMPTY_PAGES = 20;

interface Column {
  readonly title: string;
  readonly visibleFrom?: "xs" | "sm" | "md" | "lg";
}

interface Props<Item> {
  /** Says to screen readers what the table lists. */
  label: string;
  list: UseInfiniteQueryResult<{ pages: { items: Item[] }[] }, unknown>;
  columns: readonly Column[];
  row: (item: Item) => ReactNode;
  empty: ReactNode;
}

/** A list of the API as a table that grows page by page: skeleton, error and empty state included. */
export function Listing<Item>({ label, list, columns, row, empty }: Props<Item>) {
  const { t } = useTranslation();
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  // A page may have found nothing and say where to go on.
  const { fetchNextPage } = list;
  const pages = list.data?.pages.length ?? 0;
  const goesOn = items.length === 0 && list.hasNextPage;
  const looksOn = goesOn && !list.isError && pages < MOST_EMPTY_PAGES;
  useEffect(() => {
    if (looksOn) void fetchNextPage();
  }, [looksOn, pages, fetchNextPage]);
  if (list.isPending || looksOn) return <Waiting />;
  if (list.isError && (list.data === undefined || goesOn))
    return <Problem error={list.error} retry={() => void list.refetch()} />;
  if (items.length === 0)
    return (
      <Paper withBorder p="xl">
        {empty}
        {goesOn && (
          <Group justify="center">
            <ShowMore list={list} />
          </Group>
        )}
      </Paper>
    );
  return (
    <Stack>
      <Paper withBorder style={{ overflow: "hidden" }}>
        <Table.ScrollContainer minWidth={320} type="native">
          <Table verticalSpacing="sm" horizontalSpacing="md" highlightOnHover aria-label={label}>
            <Table.Thead>
              <Table.Tr>
                {columns.map(({ title, visibleFrom }) => (
                  <Table.Th key={title} visibleFrom={visibleFrom} scope="col">
                    {title}
                  </Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>{items.map(row)}</Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      </Paper>
      <Group justify="center">
        {list.hasNextPage ? (
          <ShowMore list={list} />
        ) : (
          <Text size="sm" c="dimmed">
            {t("{{count}} shown, that is all", { count: items.length })}
          </Text>
        )}
      </Group>
    </Stack>
  );
}

interface More {
  list: Pick<UseInfiniteQueryResult, "isFetchingNextPage"> & { fetchNextPage: () => unknown };
}

/** The button below a list that has another page. */
export function ShowMore({ list }: More) {
  const { t } = useTranslation();
  return (
    <Button
      variant="default"
      loading={list.isFetchingNextPage}
      onClick={() => void list.fetchNextPage()}
    >
      {t("Show more")}
    </Button>
  );
}

export function Waiting() {
  const { t } = useTranslation();
  return (
    <Stack aria-busy="true" aria-label={t("Loading")} role="status">
      {Array.from({ length: SKELETON_ROWS }, (_, index) => (
        <Skeleton key={index} height={44} />
      ))}
    </Stack>
  );
}

export function Empty({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Center>
      <Stack align="center" maw={520} gap="sm">
        <Text fw={650} size="lg" ta="center">
          {title}
        </Text>
        <Text component="div" c="dimmed" ta="center">
          {children}
        </Text>
      </Stack>
    </Center>
  );
}
