import { Button, Modal, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { session, useSession } from "./session";
import { KeyForm } from "./SignIn";

/** Asks for a key over the open page, so that a half-filled form is still there afterwards. */
export function SessionEnded() {
  const { t } = useTranslation();
  const ended = useSession()?.expired ?? false;
  return (
    <Modal
      opened={ended}
      onClose={() => undefined}
      withCloseButton={false}
      closeOnEscape={false}
      closeOnClickOutside={false}
      title={t("Your session has ended")}
      centered
    >
      <Stack>
        <Text>
          {t(
            "The key has expired or was revoked. Sign in again to go on where you were; what you have typed is kept.",
          )}
        </Text>
        <KeyForm />
        <Button variant="subtle" onClick={session.signOut}>
          {t("Sign out instead")}
        </Button>
      </Stack>
    </Modal>
  );
}
