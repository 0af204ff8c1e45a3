import { TextInput } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { fromLocalInput, toLocalInput } from "./format";

interface Props {
  since: string | undefined;
  until: string | undefined;
  onChange: (part: { since?: string | undefined; until?: string | undefined }) => void;
}

/** From and to, in the viewer's zone; either may be left open. */
export function Period({ since, until, onChange }: Props) {
  const { t } = useTranslation();
  return (
    <>
      <TextInput
        type="datetime-local"
        label={t("From")}
        defaultValue={toLocalInput(since)}
        onChange={(event) => onChange({ since: fromLocalInput(event.currentTarget.value) })}
      />
      <TextInput
        type="datetime-local"
        label={t("To")}
        defaultValue={toLocalInput(until)}
        onChange={(event) => onChange({ until: fromLocalInput(event.currentTarget.value) })}
      />
    </>
  );
}
