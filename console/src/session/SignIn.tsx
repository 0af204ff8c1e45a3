import {
  Alert,
  Button,
  Center,
  Group,
  Paper,
  PasswordInput,
  Stack,
  Text,
  Title,
} from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { asApiError } from "../api/problems";
import { LanguageMenu, SchemeToggle } from "../layout/Preferences";
import { Logo } from "../layout/Logo";
import { session } from "./session";

/** The first page: asks for a key, or uses the one that the address has brought. */
export function SignIn({ handedKey }: { handedKey: string | null }) {
  const { t } = useTranslation();
  useEffect(() => {
    document.title = `${t("Sign in")} · Hookline`;
  }, [t]);
  return (
    <Center mih="100vh" p="md" component="main">
      <Paper withBorder p="xl" w="100%" maw={420} shadow="sm">
        <Stack>
          <Group justify="space-between">
            <Logo />
            <Group gap={4}>
              <LanguageMenu />
              <SchemeToggle />
            </Group>
          </Group>
          <Title order={1}>{t("Sign in")}</Title>
          <KeyForm handedKey={handedKey} />
        </Stack>
      </Paper>
    </Center>
  );
}

/** Asks for a key and signs in with it; also when a session has ended under an open page. */
export function KeyForm({ handedKey = null }: { handedKey?: string | null }) {
  const { t } = useTranslation();
  const [key, setKey] = useState("");
  const signIn = useMutation({ mutationFn: session.signIn });
  const { mutate } = signIn;
  useEffect(() => {
    if (handedKey !== null) mutate(handedKey);
  }, [handedKey, mutate]);

  function submit(event: FormEvent): void {
    event.preventDefault();
    mutate(key.trim());
  }

  const error = signIn.error && asApiError(signIn.error);
  return (
    <form onSubmit={submit}>
      <Stack>
        <PasswordInput
          label={t("Key")}
          description={t(
            "An admin or manager key of this service. It is kept in this tab alone and forgotten when you close it.",
          )}
          placeholder="hk_…"
          autoComplete="off"
          spellCheck={false}
          visibilityToggleButtonProps={{ "aria-label": t("Show or hide what is typed") }}
          required
          value={key}
          onChange={(event) => setKey(event.currentTarget.value)}
          error={
            error?.status === 401
              ? t("The service does not know this key, or it has been revoked or has expired.")
              : signIn.data === false &&
                t("This key only sends events and sees nothing. Use an admin or manager key.")
          }
        />
        {error && error.status !== 401 && (
          <Alert color="red" role="alert">
            {error.unreachable
              ? t("The service does not answer. Try again in a moment.")
              : error.message}
          </Alert>
        )}
        <Button type="submit" loading={signIn.isPending}>
          {t("Sign in")}
        </Button>
        <Text size="sm" c="dimmed">
          {t(
            "The first start of the service printed an admin key. An operator makes more with: hookline keys create --role manager --pbx SERIAL",
          )}
        </Text>
      </Stack>
    </form>
  );
}
