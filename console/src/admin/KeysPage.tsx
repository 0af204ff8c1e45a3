import {
  Alert,
  Badge,
  Box,
  Button,
  Group,
  Modal,
  Select,
  Stack,
  Table,
  Text,
  TextInput,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { Plus } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { asApiError } from "../api/problems";
import type { ApiKey, ApiKeyCreate, Role } from "../client";
import {
  createKeyMutation,
  listKeysInfiniteOptions,
  revokeKeyMutation,
} from "../client/@tanstack/react-query.gen";
import { Confirm } from "../shared/Confirm";
import { DialogActions } from "../shared/DialogActions";
import { Copyable } from "../shared/Copyable";
import { fromLocalInput } from "../shared/format";
import { Empty, Listing } from "../shared/Listing";
import { Page } from "../shared/Page";
import { scopeOf } from "../shared/states";
import { Time } from "../shared/Time";

/** Keys: minted, listed, revoked. */
export function KeysPage() {
  const { t } = useTranslation();
  const [adding, setAdding] = useState(false);
  const [revoked, setRevoked] = useState<ApiKey | null>(null);
  const list = useInfiniteQuery({
    ...listKeysInfiniteOptions(),
    initialPageParam: {},
    getNextPageParam: (page) => page.next ?? undefined,
  });
  const add = (
    <Button leftSection={<Plus size={16} />} onClick={() => setAdding(true)}>
      {t("Make a key")}
    </Button>
  );
  return (
    <Page title={t("Keys")} actions={add}>
      <Listing<ApiKey>
        label={t("Keys")}
        list={list}
        columns={[
          { title: t("Name") },
          { title: t("Role") },
          { title: t("For"), visibleFrom: "sm" },
          { title: t("Last used"), visibleFrom: "md" },
          { title: t("Expires"), visibleFrom: "md" },
          { title: t("State"), visibleFrom: "xs" },
          { title: t("Actions") },
        ]}
        row={(key) => (
          <Table.Tr key={key.id}>
            <Table.Td>
              <Text className="break">{key.name ?? "–"}</Text>
              <span className="mono">{key.hint}…</span>
              <Box hiddenFrom="sm" className="mono">
                {scopeOf(t, key)}
              </Box>
            </Table.Td>
            <Table.Td>
              {key.role}
              <Box hiddenFrom="xs" mt={4}>
                <StateBadge state={key.state} />
              </Box>
            </Table.Td>
            <Table.Td visibleFrom="sm" className="mono">
              {scopeOf(t, key)}
            </Table.Td>
            <Table.Td visibleFrom="md">
              {key.lastUsedAt ? <Time at={key.lastUsedAt} /> : t("never")}
            </Table.Td>
            <Table.Td visibleFrom="md">
              {key.expiresAt ? <Time at={key.expiresAt} /> : t("never")}
            </Table.Td>
            <Table.Td visibleFrom="xs">
              <StateBadge state={key.state} />
            </Table.Td>
            <Table.Td>
              {key.state === "valid" && (
                <Button
                  size="compact-sm"
                  variant="subtle"
                  color="red"
                  className="state"
                  onClick={() => setRevoked(key)}
                >
                  {t("Revoke")}
                </Button>
              )}
            </Table.Td>
          </Table.Tr>
        )}
        empty={
          <Empty title={t("There is no key")}>{t("Keys open the API and this console.")}</Empty>
        }
      />
      {adding && <NewKey onClose={() => setAdding(false)} />}
      {revoked && <Revocation apiKey={revoked} onClose={() => setRevoked(null)} />}
    </Page>
  );
}

type Values = { role: Role; pbx: string; company: string; name: string; expiresAt: string };

function NewKey({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const form = useForm<Values>({
    initialValues: { role: "manager", pbx: "", company: "", name: "", expiresAt: "" },
  });
  const create = useMutation({
    ...createKeyMutation(),
    onSuccess: () => queries.invalidateQueries(),
    onError: (error) =>
      form.setErrors(
        Object.fromEntries(asApiError(error).fields.map(({ path, message }) => [path, message])),
      ),
  });
  function submit({ role, pbx, company, name, expiresAt }: Values): void {
    const until = fromLocalInput(expiresAt);
    const body: ApiKeyCreate = {
      role,
      ...(role !== "admin" && pbx.trim() && { pbx: pbx.trim() }),
      ...(role !== "admin" && company.trim() && { company: company.trim() }),
      ...(name.trim() && { name: name.trim() }),
      ...(until && { expiresAt: until }),
    };
    create.mutate({ body });
  }
  return (
    <Modal
      opened
      size="lg"
      onClose={onClose}
      title={t("Make a key")}
      centered
      closeButtonProps={{ "aria-label": t("Close") }}
      closeOnClickOutside={create.data === undefined}
    >
      {create.data ? (
        <Stack>
          <Alert color="cyan" role="note">
            {t("Copy the key now. It is shown this once.")}
          </Alert>
          <Copyable value={create.data.key} label={t("Copy the key")} />
          <Group justify="flex-end">
            <Button onClick={onClose}>{t("Done")}</Button>
          </Group>
        </Stack>
      ) : (
        <form onSubmit={form.onSubmit(submit)} noValidate>
          <Stack>
            <Select
              label={t("Role")}
              allowDeselect={false}
              data={[
                {
                  value: "manager",
                  label: t("manager: integrations and deliveries of one PBX or company"),
                },
                { value: "ingest", label: t("ingest: sends events, sees nothing") },
                { value: "admin", label: t("admin: everything") },
              ]}
              {...form.getInputProps("role")}
            />
            {form.values.role !== "admin" && (
              <>
                <TextInput
                  label="PBX"
                  description={t("Enter a PBX or a company, not both.")}
                  {...form.getInputProps("pbx")}
                />
                <TextInput label={t("Company")} {...form.getInputProps("company")} />
              </>
            )}
            <TextInput label={t("Name")} {...form.getInputProps("name")} />
            <TextInput
              type="datetime-local"
              label={t("Expires")}
              description={t("Empty: never.")}
              {...form.getInputProps("expiresAt")}
            />
            <DialogActions action={t("Make the key")} mutation={create} onClose={onClose} />
          </Stack>
        </form>
      )}
    </Modal>
  );
}

function Revocation({ apiKey, onClose }: { apiKey: ApiKey; onClose: () => void }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const revoke = useMutation({
    ...revokeKeyMutation(),
    onSuccess: async () => {
      onClose();
      await queries.invalidateQueries();
    },
  });
  return (
    <Confirm
      opened
      onClose={onClose}
      title={t("Revoke the key {{hint}}…?", { hint: apiKey.hint })}
      action={t("Revoke")}
      mutation={revoke}
      onConfirm={() => revoke.mutate({ path: { keyId: apiKey.id } })}
    >
      {t("Whoever uses it is refused from now on. This cannot be undone.")}
    </Confirm>
  );
}

function StateBadge({ state }: { state: ApiKey["state"] }) {
  const { t } = useTranslation();
  const colour = state === "valid" ? "teal" : "gray";
  return (
    <Badge variant="outline" tt="none" className="state" color={colour}>
      {stateText(t, state)}
    </Badge>
  );
}

function stateText(t: TFunction, state: string): string {
  switch (state) {
    case "valid":
      return t("Active");
    case "expired":
      return t("Expired");
    case "revoked":
      return t("Revoked");
    default:
      return state;
  }
}
