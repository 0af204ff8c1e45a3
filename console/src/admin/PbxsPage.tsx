import {
  ActionIcon,
  Alert,
  Badge,
  Button,
  Group,
  Modal,
  NumberInput,
  Select,
  Stack,
  Switch,
  Table,
  Text,
  TextInput,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDebouncedCallback } from "@mantine/hooks";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { Pencil, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { asApiError } from "../api/problems";
import type { PbxLicence, PbxRecord } from "../client";
import {
  deletePbxMutation,
  listPbxsInfiniteOptions,
  putPbxMutation,
} from "../client/@tanstack/react-query.gen";
import { useSession } from "../session/session";
import { Confirm } from "../shared/Confirm";
import { DialogActions } from "../shared/DialogActions";
import { Empty, Listing } from "../shared/Listing";
import { Page } from "../shared/Page";
import { Time } from "../shared/Time";

const route = getRouteApi("/pbxs");
const TYPING = 300; // milliseconds after the last key until the list follows

/** Licence and presence switch of each PBX; only admins change them. */
export function PbxsPage() {
  const { t } = useTranslation();
  const admin = useSession()?.role === "admin";
  const { search } = route.useSearch();
  const navigate = route.useNavigate();
  const [edited, setEdited] = useState<PbxRecord | "new" | null>(null);
  const [deleted, setDeleted] = useState<PbxRecord | null>(null);
  const list = useInfiniteQuery({
    ...listPbxsInfiniteOptions({ query: search ? { search } : {} }),
    initialPageParam: {},
    getNextPageParam: (page) => page.next ?? undefined,
  });
  const typed = useDebouncedCallback(
    (text: string) =>
      void navigate({ search: { search: text.trim() || undefined }, replace: true }),
    TYPING,
  );
  const add = admin && (
    <Button leftSection={<Plus size={16} />} onClick={() => setEdited("new")}>
      {t("Add a PBX")}
    </Button>
  );
  return (
    <Page title={t("PBXs")} actions={add}>
      <Group>
        <TextInput
          label={t("Search")}
          placeholder={t("Serial or company")}
          w={280}
          defaultValue={search}
          onChange={(event) => typed(event.currentTarget.value)}
        />
      </Group>
      <Listing<PbxRecord>
        label={t("PBXs")}
        list={list}
        columns={[
          { title: "PBX" },
          { title: t("Company"), visibleFrom: "sm" },
          { title: t("Licence") },
          { title: t("Presence events"), visibleFrom: "md" },
          { title: t("Days kept"), visibleFrom: "md" },
          { title: t("Changed"), visibleFrom: "md" },
          ...(admin ? [{ title: t("Actions") }] : []),
        ]}
        row={(pbx) => (
          <Table.Tr key={pbx.pbx}>
            <Table.Td className="mono">
              {pbx.pbx}
              <Text size="sm" c="dimmed" hiddenFrom="sm" className="break">
                {pbx.company}
              </Text>
            </Table.Td>
            <Table.Td className="mono" visibleFrom="sm">
              {pbx.company}
            </Table.Td>
            <Table.Td>
              <Badge variant="default" tt="none" className="state">
                {licenceName(pbx.license)}
              </Badge>
            </Table.Td>
            <Table.Td visibleFrom="md">
              {pbx.license === "x-bees" || pbx.presenceEvents ? t("Sent") : t("Not sent")}
            </Table.Td>
            <Table.Td visibleFrom="md">{pbx.retentionDays ?? t("as the service")}</Table.Td>
            <Table.Td visibleFrom="md">
              <Time at={pbx.updatedAt} />
            </Table.Td>
            {admin && (
              <Table.Td>
                <Group gap={4} wrap="nowrap">
                  <ActionIcon
                    variant="subtle"
                    color="gray"
                    aria-label={t("Edit {{name}}", { name: pbx.pbx })}
                    onClick={() => setEdited(pbx)}
                  >
                    <Pencil size={16} />
                  </ActionIcon>
                  <ActionIcon
                    variant="subtle"
                    color="gray"
                    aria-label={t("Delete {{name}}", { name: pbx.pbx })}
                    onClick={() => setDeleted(pbx)}
                  >
                    <Trash2 size={16} />
                  </ActionIcon>
                </Group>
              </Table.Td>
            )}
          </Table.Tr>
        )}
        empty={
          <Empty title={t("No PBX is on record here")}>
            {t(
              "A PBX's record names its company and its licence, on which it depends whether presence events are sent. Integrations work without one.",
            )}
          </Empty>
        }
      />
      {edited && <Editor pbx={edited === "new" ? null : edited} onClose={() => setEdited(null)} />}
      {deleted && <Deletion pbx={deleted} onClose={() => setDeleted(null)} />}
    </Page>
  );
}

interface Values {
  pbx: string;
  company: string;
  license: PbxLicence;
  presenceEvents: boolean;
  retentionDays: number | "";
}

function Editor({ pbx, onClose }: { pbx: PbxRecord | null; onClose: () => void }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const form = useForm<Values>({
    initialValues: {
      pbx: pbx?.pbx ?? "",
      company: pbx?.company ?? "",
      license: pbx?.license ?? "x-bees",
      presenceEvents: pbx?.presenceEvents ?? false,
      retentionDays: pbx?.retentionDays ?? "",
    },
    validate: {
      pbx: (value) => (value.trim() ? null : t("Enter the PBX's serial.")),
      company: (value) => (value.trim() ? null : t("Enter the company's id.")),
    },
  });
  const put = useMutation({
    ...putPbxMutation(),
    onSuccess: async () => {
      onClose();
      await queries.invalidateQueries();
    },
    onError: (error) =>
      form.setErrors(
        Object.fromEntries(asApiError(error).fields.map(({ path, message }) => [path, message])),
      ),
  });
  function submit({ pbx: serial, company, license, presenceEvents, retentionDays }: Values): void {
    put.mutate({
      path: { pbx: serial.trim() },
      body: {
        company: company.trim(),
        license,
        presenceEvents,
        retentionDays: retentionDays === "" ? null : retentionDays,
      },
    });
  }
  return (
    <Modal
      opened
      onClose={onClose}
      title={pbx ? t("Edit {{name}}", { name: pbx.pbx }) : t("Add a PBX")}
      centered
      closeButtonProps={{ "aria-label": t("Close") }}
    >
      <form onSubmit={form.onSubmit(submit)} noValidate>
        <Stack>
          <TextInput
            label={t("PBX serial")}
            required
            disabled={pbx !== null}
            {...form.getInputProps("pbx")}
          />
          <TextInput label={t("Company")} required {...form.getInputProps("company")} />
          {pbx && form.values.company.trim() !== pbx.company && (
            <Alert color="orange" role="note">
              {t(
                "Integrations that the old company has on this PBX are disabled when the PBX moves to another one.",
              )}
            </Alert>
          )}
          <Select
            label={t("Licence")}
            allowDeselect={false}
            data={[
              { value: "x-bees", label: "x-bees" },
              { value: "collaboration", label: "Collaboration" },
            ]}
            {...form.getInputProps("license")}
          />
          <Switch
            label={t("Send presence events")}
            description={t(
              "Counts with a Collaboration licence; with x-bees they are always sent.",
            )}
            {...form.getInputProps("presenceEvents", { type: "checkbox" })}
          />
          <NumberInput
            label={t("Days that its events are kept")}
            description={t("Empty: as many as the service keeps.")}
            min={1}
            max={3650}
            allowDecimal={false}
            {...form.getInputProps("retentionDays")}
          />
          {typeof form.values.retentionDays === "number" &&
            form.values.retentionDays < (pbx?.retentionDays ?? Infinity) && (
              <Alert color="orange" role="note">
                {t(
                  "Events of this PBX that are older are deleted for ever, with their deliveries.",
                )}
              </Alert>
            )}
          <DialogActions action={t("Save")} mutation={put} onClose={onClose} />
        </Stack>
      </form>
    </Modal>
  );
}

function Deletion({ pbx, onClose }: { pbx: PbxRecord; onClose: () => void }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const remove = useMutation({
    ...deletePbxMutation(),
    onSuccess: async () => {
      onClose();
      await queries.invalidateQueries();
    },
  });
  return (
    <Confirm
      opened
      onClose={onClose}
      title={t("Delete {{name}}?", { name: pbx.pbx })}
      action={t("Delete")}
      mutation={remove}
      onConfirm={() => remove.mutate({ path: { pbx: pbx.pbx } })}
    >
      {t("Only the record of company and licence goes. Integrations of the PBX stay.")}
    </Confirm>
  );
}

function licenceName(licence: PbxLicence): string {
  return licence === "collaboration" ? "Collaboration" : licence;
}
