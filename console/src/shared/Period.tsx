import { Button, Group, TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { fromLocalInput, toLocalInput } from "./format";

interface Props {
  since: string | undefined;
  until: string | undefined;
  onChange: (part: { since?: string | undefined; until?: string | undefined }) => void;
}

const HOUR = 3_600_000; // milliseconds

/** From and to, in the viewer's zone, either of which may be left open; and the usual ones as buttons. */
export function Period({ since, until, onChange }: Props) {
  const { t } = useTranslation();
  const [presses, setPresses] = useState(0); // the fields, which keep what is half typed, start anew
  const press = (from: Date | undefined, to?: Date) => {
    setPresses((before) => before + 1);
    onChange({ since: from?.toISOString(), until: to?.toISOString() });
  };
  const day = (ago: number) => {
    const now = new Date();
    return new Date(now.getFullYear(), now.getMonth(), now.getDate() - ago);
  };
  const usual = [
    { name: t("The last hour"), choose: () => press(new Date(Date.now() - HOUR)) },
    { name: t("Today"), choose: () => press(day(0)) },
    { name: t("Yesterday"), choose: () => press(day(1), day(0)) },
    { name: t("Any time"), choose: () => press(undefined) },
  ];
  return (
    <>
      <TextInput
        key={`since ${presses}`}
        type="datetime-local"
        label={t("From")}
        defaultValue={toLocalInput(since)}
        onChange={(event) => onChange({ since: fromLocalInput(event.currentTarget.value) })}
      />
      <TextInput
        key={`until ${presses}`}
        type="datetime-local"
        label={t("To")}
        defaultValue={toLocalInput(until)}
        onChange={(event) => onChange({ until: fromLocalInput(event.currentTarget.value) })}
      />
      <Group gap="xs" className="whole-row">
        {usual.map(({ name, choose }) => (
          <Button key={name} size="compact-sm" variant="default" onClick={choose}>
            {name}
          </Button>
        ))}
      </Group>
    </>
  );
}
