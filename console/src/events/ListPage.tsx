import { Table, Text, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import type { EventSummary, ListEventsData } from "../client";
import { listEventsInfiniteOptions } from "../client/@tanstack/react-query.gen";
import { EventTypeSelect } from "../shared/EventTypeSelect";
import { Empty, Listing } from "../shared/Listing";
import { Page } from "../shared/Page";
import { Period } from "../shared/Period";
import { Time } from "../shared/Time";
import { TypeName } from "../shared/TypeName";

const route = getRouteApi("/events");
const TYPING = 300; // milliseconds after the last key until the list follows

export function ListPage() {
  const { t } = useTranslation();
  const { event, ...rest } = route.useSearch();
  const wanted = Object.entries({ ...rest, type: event }).filter(
    ([, value]) => value !== undefined,
  );
  const query: NonNullable<ListEventsData["query"]> = Object.fromEntries(wanted);
  const list = useInfiniteQuery({
    ...listEventsInfiniteOptions({ query }),
    initialPageParam: {},
    getNextPageParam: (page) => page.next ?? undefined,
  });
  return (
    <Page title={t("Events")}>
      <Text size="sm">
        {t(
          "Find the event of a call or a person; its page says for each integration what became of it, and why it was not sent.",
        )}
      </Text>
      <Filters />
      <Listing<EventSummary>
        label={t("Events")}
        list={list}
        columns={[
          { title: t("Accepted") },
          { title: t("Type of event") },
          { title: t("Subject"), visibleFrom: "md" },
          { title: "PBX", visibleFrom: "lg" },
          { title: t("Company"), visibleFrom: "lg" },
        ]}
        row={(found) => (
          <Table.Tr key={found.eventId}>
            <Table.Td>
              <Link to="/events/$eventId" params={{ eventId: found.eventId }} className="link">
                <Time at={found.acceptedAt} seconds />
              </Link>
            </Table.Td>
            <Table.Td>
              <TypeName name={found.type} />
            </Table.Td>
            <Table.Td visibleFrom="md" className="mono break">
              {found.subject}
            </Table.Td>
            <Table.Td visibleFrom="lg" className="mono">
              {found.pbx ?? "–"}
            </Table.Td>
            <Table.Td visibleFrom="lg" className="mono">
              {found.company}
            </Table.Td>
          </Table.Tr>
        )}
        empty={
          <Empty title={t("No event here")}>
            {t(
              "Every event that the service has accepted can be found here, with what became of it. Nothing matches these filters, or no PBX has sent anything yet.",
            )}
          </Empty>
        }
      />
    </Page>
  );
}

function Filters() {
  const { t } = useTranslation();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const change = (part: Partial<typeof search>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const typed = useDebouncedCallback(change, TYPING);
  const field = (name: "pbx" | "company" | "subject", label: string) => (
    <TextInput
      label={label}
      defaultValue={search[name]}
      onChange={(event) => typed({ [name]: event.currentTarget.value.trim() || undefined })}
    />
  );
  return (
    <div className="filters">
      {field("subject", t("Subject (a call's id)"))}
      {field("pbx", "PBX")}
      {field("company", t("Company"))}
      <EventTypeSelect value={search.event} onChange={change} />
      <Period since={search.since} until={search.until} onChange={change} />
    </div>
  );
}
