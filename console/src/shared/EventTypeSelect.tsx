import { Select } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import { listEventTypesOptions } from "../client/@tanstack/react-query.gen";

interface Props {
  value: string | undefined;
  onChange: (part: { event: string | undefined }) => void;
}

/** A filter by one type of the catalogue's events; nothing chosen is any. */
export function EventTypeSelect({ value, onChange }: Props) {
  const { t } = useTranslation();
  const catalogue = useQuery({ ...listEventTypesOptions(), staleTime: Infinity });
  return (
    <Select
      label={t("Type of event")}
      placeholder={t("Any")}
      clearable
      searchable
      value={value ?? null}
      onChange={(event) => onChange({ event: event ?? undefined })}
      data={(catalogue.data?.groups ?? []).map(({ title, types }) => ({
        group: title,
        items: types.map(({ name }) => name),
      }))}
    />
  );
}
