// The catalogue of event types, its built-in texts in the viewer's language; other texts are as the API has them.
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import type { EventGroup } from "../client";
import { listEventTypesOptions } from "../client/@tanstack/react-query.gen";
import { catalogueText } from "../i18n";

export function useCatalogue() {
  const { i18n } = useTranslation();
  return useQuery({
    ...listEventTypesOptions(),
    staleTime: Infinity,
    select: ({ groups }): EventGroup[] =>
      groups.map((group) => ({
        ...group,
        ...catalogueText(i18n.language, group.name),
        types: group.types.map((type) => ({ ...type, ...catalogueText(i18n.language, type.name) })),
      })),
  });
}
