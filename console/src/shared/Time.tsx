import { Tooltip } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { localeOf } from "../i18n";

/** A moment in the viewer's zone; UTC on hover and focus. */
export function Time({ at, seconds = false }: { at: string | number; seconds?: boolean }) {
  const { i18n } = useTranslation();
  const moment = new Date(at);
  const shown = new Intl.DateTimeFormat(localeOf(i18n.language), {
    dateStyle: "medium",
    timeStyle: seconds ? "medium" : "short",
  });
  return (
    <Tooltip
      label={moment.toISOString().replace("T", " ").replace("Z", " UTC")}
      events={{ hover: true, focus: true, touch: true }}
    >
      <time dateTime={moment.toISOString()}>{shown.format(moment)}</time>
    </Tooltip>
  );
}
