import { Button, Group } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { asApiError } from "../api/problems";
import { Problem } from "../layout/Failures";

interface Props {
  /** What the button that sends the form says. */
  action: string;
  mutation: { error: unknown; isPending: boolean };
  onClose: () => void;
}

/** The end of a form in a dialog: what went wrong beside its fields, and its buttons. */
export function DialogActions({ action, mutation, onClose }: Props) {
  const { t } = useTranslation();
  return (
    <>
      {mutation.error && asApiError(mutation.error).fields.length === 0 ? (
        <Problem error={mutation.error} />
      ) : null}
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          {t("Cancel")}
        </Button>
        <Button type="submit" loading={mutation.isPending}>
          {action}
        </Button>
      </Group>
    </>
  );
}
