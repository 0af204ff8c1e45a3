import { Alert, Button, Paper, SimpleGrid, Stack, Tabs, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { Power, Trash2 } from "lucide-react";
import { lazy, Suspense } from "react";
import { useTranslation } from "react-i18next";

import type { Integration } from "../client";
import {
  deleteIntegrationMutation,
  getIntegrationOptions,
  updateIntegrationMutation,
} from "../client/@tanstack/react-query.gen";
import { Deliveries } from "../deliveries/Deliveries";
import { Problem } from "../layout/Failures";
import { Fact } from "../shared/Block";
import { useCatalogue } from "../shared/catalogue";
import { Confirm } from "../shared/Confirm";
import { Copyable } from "../shared/Copyable";
import { Waiting } from "../shared/Listing";
import { Page } from "../shared/Page";
import { disabledText, errorText, HealthBadge, healthText } from "../shared/states";
import { Time } from "../shared/Time";
import { EditForm } from "./EditForm";
import { ReplayPanel } from "./ReplayPanel";
import { SecretPanel } from "./SecretPanel";
import { TestPanel } from "./TestPanel";

const Charts = lazy(() => import("./Charts"));
const route = getRouteApi("/integrations/$integrationId");

export function DetailPage() {
  const { integrationId } = route.useParams();
  const integration = useQuery(getIntegrationOptions({ path: { integrationId } }));
  if (integration.isPending) return <Waiting />;
  if (integration.isError) {
    return <Problem error={integration.error} retry={() => void integration.refetch()} />;
  }
  return <Detail integration={integration.data} />;
}

function Detail({ integration }: { integration: Integration }) {
  const { t } = useTranslation();
  const { tab = "deliveries" } = route.useSearch();
  const navigate = route.useNavigate();
  const catalogue = useCatalogue(); // awaited, so that nothing moves below who edits the settings
  return (
    <Page title={integration.name} actions={<Actions integration={integration} />}>
      <Health integration={integration} />
      <Paper withBorder p="md">
        <SimpleGrid cols={{ base: 2, md: 5 }}>
          <Fact name={t("Integration id")}>
            <Copyable value={integration.id} label={t("Copy the id")} />
          </Fact>
          <Fact name="PBX">{integration.pbx ?? "–"}</Fact>
          <Fact name={t("Company")}>{integration.company ?? "–"}</Fact>
          <Fact name={t("Health")}>
            <HealthBadge health={integration.health} />
          </Fact>
          <Fact name={t("Created")}>
            <Time at={integration.createdAt} />
          </Fact>
        </SimpleGrid>
      </Paper>
      <Tabs
        value={tab}
        onChange={(next) => void navigate({ search: { tab: next ?? undefined }, replace: true })}
        keepMounted={false}
      >
        <Tabs.List mb="md">
          <Tabs.Tab value="deliveries">{t("Deliveries")}</Tabs.Tab>
          <Tabs.Tab value="replay">{t("Send again")}</Tabs.Tab>
          <Tabs.Tab value="charts">{t("Charts")}</Tabs.Tab>
          <Tabs.Tab value="test">{t("Test")}</Tabs.Tab>
          <Tabs.Tab value="settings">{t("Settings")}</Tabs.Tab>
          <Tabs.Tab value="secret">{t("Secret")}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="deliveries">
          <Deliveries integrationId={integration.id} pbx={integration.pbx ?? null} />
        </Tabs.Panel>
        <Tabs.Panel value="replay">
          <ReplayPanel integration={integration} />
        </Tabs.Panel>
        <Tabs.Panel value="charts">
          <Suspense fallback={<Waiting />}>
            <Charts integrationId={integration.id} />
          </Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="test">
          <TestPanel integration={integration} />
        </Tabs.Panel>
        <Tabs.Panel value="settings">
          {catalogue.isPending ? <Waiting /> : <EditForm integration={integration} />}
        </Tabs.Panel>
        <Tabs.Panel value="secret">
          <SecretPanel integration={integration} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function Health({ integration }: { integration: Integration }) {
  const { t } = useTranslation();
  const { health } = integration;
  if (health.state === "healthy") return null;
  return (
    <Alert
      color={health.state === "disabled" ? "gray" : "orange"}
      role="note"
      title={healthText(t, health.state)}
    >
      <Stack gap={4}>
        {health.state === "disabled" && <Text size="sm">{disabledText(t, health)}</Text>}
        {health.lastError && (
          <Text size="sm">
            {t("Last error")}: {errorText(t, health.lastError, null)}{" "}
            {health.lastErrorAt && <Time at={health.lastErrorAt} />}
          </Text>
        )}
        {health.failingSince && (
          <Text size="sm">
            {t("Nothing has got through since")}: <Time at={health.failingSince} />
          </Text>
        )}
        {health.state === "paused" && health.lastErrorAt && (
          <Text size="sm">
            {t("Paused since")}: <Time at={health.lastErrorAt} />
          </Text>
        )}
        {health.state === "paused" && (
          <Text size="sm">
            {t("What comes meanwhile waits and is sent once the receiver answers again.")}{" "}
            {health.nextProbeAt && (
              <>
                {t("Next try")}: <Time at={health.nextProbeAt} seconds />
              </>
            )}
          </Text>
        )}
      </Stack>
    </Alert>
  );
}

function Actions({ integration }: { integration: Integration }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const navigate = route.useNavigate();
  const [deleting, { open, close }] = useDisclosure();
  const [disabling, disable] = useDisclosure();
  const path = { integrationId: integration.id };
  const update = useMutation({
    ...updateIntegrationMutation(),
    onSuccess: async () => {
      disable.close();
      await queries.invalidateQueries();
    },
  });
  const remove = useMutation({
    ...deleteIntegrationMutation(),
    onSuccess: async () => {
      await navigate({ to: "/integrations" });
      await queries.invalidateQueries();
    },
  });
  return (
    <>
      {integration.enabled ? (
        <Button variant="default" leftSection={<Power size={16} />} onClick={disable.open}>
          {t("Disable")}
        </Button>
      ) : (
        <Button
          leftSection={<Power size={16} />}
          loading={update.isPending}
          onClick={() => update.mutate({ path, body: { enabled: true } })}
        >
          {t("Enable")}
        </Button>
      )}
      <Button variant="default" leftSection={<Trash2 size={16} />} onClick={open}>
        {t("Delete")}
      </Button>
      {update.error && integration.enabled === false && <Problem error={update.error} />}
      <Confirm
        opened={disabling}
        onClose={disable.close}
        title={t("Disable {{name}}?", { name: integration.name })}
        action={t("Disable")}
        mutation={update}
        onConfirm={() => update.mutate({ path, body: { enabled: false } })}
      >
        {t(
          "It gets no more events until you enable it again. Events that come meanwhile are not sent later.",
        )}
      </Confirm>
      <Confirm
        opened={deleting}
        onClose={close}
        title={t("Delete {{name}}?", { name: integration.name })}
        action={t("Delete")}
        mutation={remove}
        onConfirm={() => remove.mutate({ path })}
      >
        {t(
          "This cannot be undone. What still waits for it is not sent; the log of its deliveries stays.",
        )}
      </Confirm>
    </>
  );
}
