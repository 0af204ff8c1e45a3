import {
  Alert,
  Button,
  Group,
  Paper,
  Progress,
  SegmentedControl,
  SimpleGrid,
  Stack,
  Table,
  Text,
  TextInput,
  Title,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { asApiError } from "../api/problems";
import type { Erasure, ErasureCreate } from "../client";
import {
  getErasureOptions,
  listErasuresInfiniteOptions,
  startErasureMutation,
} from "../client/@tanstack/react-query.gen";
import { localeOf } from "../i18n";
import { Problem } from "../layout/Failures";
import { Fact } from "../shared/Block";
import { Confirm } from "../shared/Confirm";
import { fromLocalInput } from "../shared/format";
import { Empty, Listing, Waiting } from "../shared/Listing";
import { Page } from "../shared/Page";
import { jobStateText, RUNNING } from "../shared/states";
import { Time } from "../shared/Time";

const route = getRouteApi("/admins/erasures");
const AGAIN = 1_000; // milliseconds, while it runs

type Values = {
  whose: "pbx" | "company";
  pbx: string;
  company: string;
  subject: string;
  before: string;
};

/** Destroys what events said, for privacy: of a PBX or a company, or of one subject of theirs. */
export function ErasuresPage() {
  const { t } = useTranslation();
  const { job } = route.useSearch();
  return (
    <Page title={t("Erasure")}>
      <Text maw={760}>
        {t(
          "Destroys the content of events, and the answers of receivers to them, for ever. The log of what was sent when stays. What still waits is not sent.",
        )}
      </Text>
      <Form />
      {job && <Job id={job} />}
      <Past />
    </Page>
  );
}

function Form() {
  const { t } = useTranslation();
  const navigate = route.useNavigate();
  const queries = useQueryClient();
  const [asked, setAsked] = useState<ErasureCreate | null>(null);
  const form = useForm<Values>({
    initialValues: { whose: "pbx", pbx: "", company: "", subject: "", before: "" },
    validate: {
      pbx: (value, { whose }) =>
        whose === "pbx" && !value.trim() ? t("Enter the PBX's serial.") : null,
      company: (value, { whose }) =>
        whose === "company" && !value.trim() ? t("Enter the company's id.") : null,
    },
  });
  const start = useMutation({
    ...startErasureMutation(),
    onSuccess: async ({ id }) => {
      setAsked(null);
      form.reset();
      await navigate({ search: { job: id } });
      await queries.invalidateQueries();
    },
    onError: (error) => {
      const { fields } = asApiError(error);
      if (fields.length === 0) return;
      form.setErrors(Object.fromEntries(fields.map(({ path, message }) => [path, message])));
      setAsked(null);
    },
  });

  function submit({ whose, pbx, company, subject, before }: Values): void {
    const until = fromLocalInput(before);
    setAsked({
      ...(whose === "pbx" ? { pbx: pbx.trim() } : { company: company.trim() }),
      ...(subject.trim() && { subject: subject.trim() }),
      ...(until && { before: until }),
    });
  }

  const { whose } = form.values;
  return (
    <form onSubmit={form.onSubmit(submit)} noValidate>
      <Paper withBorder p="md" maw={760}>
        <Stack>
          <Group>
            <SegmentedControl
              aria-label={t("Whose events")}
              data={[
                { value: "pbx", label: t("Of a PBX") },
                { value: "company", label: t("Of a company") },
              ]}
              {...form.getInputProps("whose")}
            />
          </Group>
          <SimpleGrid cols={{ base: 1, xs: 2 }}>
            {whose === "pbx" ? (
              <TextInput label={t("PBX serial")} required {...form.getInputProps("pbx")} />
            ) : (
              <TextInput
                label={t("Company")}
                description={t("Its PBXs' events too.")}
                inputWrapperOrder={["label", "input", "description", "error"]}
                required
                {...form.getInputProps("company")}
              />
            )}
            <TextInput
              label={t("Subject (a call's id)")}
              description={t("Empty: all subjects.")}
              inputWrapperOrder={["label", "input", "description", "error"]}
              {...form.getInputProps("subject")}
            />
            <TextInput
              type="datetime-local"
              label={t("Accepted before")}
              description={t("Empty: now.")}
              inputWrapperOrder={["label", "input", "description", "error"]}
              {...form.getInputProps("before")}
            />
          </SimpleGrid>
          <Group>
            <Button type="submit" color="red.9">
              {t("Erase")}
            </Button>
          </Group>
        </Stack>
      </Paper>
      <Confirm
        opened={asked !== null}
        onClose={() => setAsked(null)}
        title={t("Erase for ever?")}
        action={t("Erase")}
        mutation={start}
        onConfirm={() => asked && start.mutate({ body: asked })}
      >
        {t("Nobody can bring the content of these events back:")}{" "}
        <b className="break">
          {[asked?.pbx && `PBX ${asked.pbx}`, asked?.company, asked?.subject]
            .filter(Boolean)
            .join(", ")}
        </b>
      </Confirm>
    </form>
  );
}

/** What was asked for before, newest first. */
function Past() {
  const { t, i18n } = useTranslation();
  const number = new Intl.NumberFormat(localeOf(i18n.language));
  const list = useInfiniteQuery({
    ...listErasuresInfiniteOptions(),
    initialPageParam: {},
    getNextPageParam: (page) => page.next ?? undefined,
    refetchInterval: ({ state }) =>
      state.data?.pages.some(({ items }) => items.some((erasure) => RUNNING.has(erasure.state)))
        ? AGAIN
        : false,
  });
  return (
    <>
      <Title order={2}>{t("Erasures so far")}</Title>
      <Listing<Erasure>
        label={t("Erasures so far")}
        list={list}
        columns={[
          { title: t("Created") },
          { title: t("Whose events") },
          { title: t("Subject"), visibleFrom: "sm" },
          { title: t("Asked for by"), visibleFrom: "md" },
          { title: t("Erased") },
        ]}
        row={(erasure) => (
          <Table.Tr key={erasure.id}>
            <Table.Td>
              <Link to="/erasures" search={{ job: erasure.id }} className="link">
                <Time at={erasure.createdAt} />
              </Link>
            </Table.Td>
            <Table.Td className="mono break">{erasure.pbx ?? erasure.company}</Table.Td>
            <Table.Td visibleFrom="sm" className="break">
              <span className="mono">{erasure.subject ?? t("everything")}</span>
            </Table.Td>
            <Table.Td visibleFrom="md" className="break">
              {erasure.createdBy}
            </Table.Td>
            <Table.Td>
              {number.format(erasure.erased)}
              {erasure.state !== "done" && ` · ${jobStateText(t, erasure.state)}`}
            </Table.Td>
          </Table.Tr>
        )}
        empty={
          <Empty title={t("Nothing was erased yet")}>
            {t("What is erased from now on is listed here, for as long as events are kept.")}
          </Empty>
        }
      />
    </>
  );
}

function Job({ id }: { id: string }) {
  const erasure = useQuery({
    ...getErasureOptions({ path: { erasureId: id } }),
    refetchInterval: ({ state }) => (state.data && RUNNING.has(state.data.state) ? AGAIN : false),
  });
  if (erasure.isPending) return <Waiting />;
  if (erasure.isError) return <Problem error={erasure.error} />;
  return <Shown erasure={erasure.data} />;
}

function Shown({ erasure }: { erasure: Erasure }) {
  const { t, i18n } = useTranslation();
  const number = new Intl.NumberFormat(localeOf(i18n.language));
  const total = erasure.total === null ? "…" : number.format(erasure.total);
  const share = erasure.total ? (100 * erasure.erased) / erasure.total : 0;
  return (
    <Paper withBorder p="md" maw={760}>
      <Stack>
        <Title order={2}>{jobStateText(t, erasure.state)}</Title>
        {RUNNING.has(erasure.state) && <Progress value={share} aria-label={t("Progress")} />}
        <Text role="status">
          {t("{{erased}} of {{total}} events erased", {
            count: erasure.total ?? 0,
            erased: number.format(erasure.erased),
            total,
          })}
        </Text>
        {erasure.error && (
          <Alert color="orange" role="note">
            {erasure.error}
          </Alert>
        )}
        <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }}>
          <Fact name="PBX">{erasure.pbx ?? "–"}</Fact>
          <Fact name={t("Company")}>{erasure.company ?? "–"}</Fact>
          <Fact name={t("Subject")}>{erasure.subject ?? t("everything")}</Fact>
          <Fact name={t("Accepted before")}>
            <Time at={erasure.before} />
          </Fact>
          <Fact name={t("Asked for by")}>{erasure.createdBy}</Fact>
          <Fact name={t("Created")}>
            <Time at={erasure.createdAt} />
          </Fact>
        </SimpleGrid>
      </Stack>
    </Paper>
  );
}
