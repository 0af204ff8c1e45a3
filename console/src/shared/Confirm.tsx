import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { Problem } from "../layout/Failures";

interface Props {
  opened: boolean;
  onClose: () => void;
  title: string;
  action: string;
  mutation: { isPending: boolean; error: unknown };
  onConfirm: () => void;
  children: ReactNode;
}

/** Asks before something that cannot be taken back. */
export function Confirm({ opened, onClose, title, action, mutation, onConfirm, children }: Props) {
  const { t } = useTranslation();
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={title}
      centered
      closeButtonProps={{ "aria-label": t("Close") }}
    >
      <Stack>
        <Text component="div">{children}</Text>
        {mutation.error !== null && <Problem error={mutation.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose} data-autofocus>
            {t("Cancel")}
          </Button>
          <Button color="red.9" loading={mutation.isPending} onClick={onConfirm}>
            {action}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
