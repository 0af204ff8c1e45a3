import { Alert, Anchor, Button, Group, Stack, Text, Title } from "@mantine/core";
import { type ErrorComponentProps, Link, Outlet } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import { asApiError } from "../api/problems";
import type { FieldWarning } from "../client";
import { useSession } from "../session/session";

const NOT_FOUND = 404;

export function NotThere() {
  const { t } = useTranslation();
  return (
    <Stack>
      <Title order={1}>{t("There is nothing at this address")}</Title>
      <Text>
        <ToIntegrations />
      </Text>
    </Stack>
  );
}

/** The pages for admins, whose addresses others may have been given. */
export function AdminsOnly() {
  const { t } = useTranslation();
  if (useSession()?.role === "admin") return <Outlet />;
  return (
    <Stack>
      <Title order={1}>{t("This page is for admins")}</Title>
      <Text role="alert">
        {t("Your key is for the integrations and deliveries of one PBX or company.")}{" "}
        <ToIntegrations />
      </Text>
    </Stack>
  );
}

function ToIntegrations() {
  const { t } = useTranslation();
  return (
    <Anchor component={Link} to="/integrations">
      {t("Go to the integrations")}
    </Anchor>
  );
}

export function PageFailed({ error, reset }: ErrorComponentProps) {
  return <Problem error={error} retry={reset} />;
}

/** Says what may be wrong in what the service has taken all the same. */
export function Warnings({ warnings }: { warnings: readonly FieldWarning[] }) {
  const { t } = useTranslation();
  if (warnings.length === 0) return null;
  return (
    <Alert color="orange" role="status" title={t("It was saved, but look at this again")}>
      {warnings.map(({ path, message }) => (
        <Text size="sm" key={path} className="break">
          <b>{path}</b>: {message}
        </Text>
      ))}
    </Alert>
  );
}

/** Says what went wrong, in the service's words where it has answered. */
export function Problem({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useTranslation();
  const problem = asApiError(error);
  return (
    <Alert color="red" title={problem.title || t("That did not work")} role="alert">
      <Stack gap="xs">
        <Text size="sm">
          {problem.unreachable
            ? t("The service does not answer. Try again in a moment.")
            : problem.message}
        </Text>
        {problem.fields.map((field) => (
          <Text size="sm" key={field.path} className="break">
            <b>{field.path}</b>: {field.message}
          </Text>
        ))}
        {problem.status === NOT_FOUND && (
          <Text size="sm">
            <ToIntegrations />
          </Text>
        )}
        {retry && problem.status !== NOT_FOUND && (
          <Group>
            <Button size="xs" variant="default" onClick={retry}>
              {t("Try again")}
            </Button>
          </Group>
        )}
      </Stack>
    </Alert>
  );
}
