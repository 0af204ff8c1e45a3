import { Select } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { useCatalogue } from "./catalogue";

interface Props {
  value: string | undefined;
  onChange: (part: { event: string | undefined }) => void;
}

/** A filter by one type of the catalogue's events; nothing chosen is any. */
export function EventTypeSelect({ value, onChange }: Props) {
  const { t } = useTranslation();
  const catalogue = useCatalogue();
  return (
    <Select
      label={t("Type of event")}
      placeholder={t("Any")}
      clearable
      searchable
      value={value ?? null}
      onChange={(event) => onChange({ event: event ?? undefined })}
      data={(catalogue.data ?? []).map(({ title, types }) => ({
        group: title,
        items: types.map(({ name }) => name),
      }))}
    />
  );
}
