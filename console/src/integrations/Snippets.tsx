import { Stack, Tabs, Text, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";

import guide from "../../../docs/receivers.md?raw";
import { Block } from "../shared/Block";

/** Receivers that check the signature, out of the guide whose programs the tests run. */
export function Snippets() {
  const { t } = useTranslation();
  const programs = receivers(guide);
  return (
    <Stack gap="xs" mt="md">
      <Title order={2}>{t("A receiver that checks the signature")}</Title>
      <Text size="sm" c="dimmed">
        {t("Give it the secret in the environment, never in its code.")}
      </Text>
      <Tabs defaultValue={programs[0]?.language} keepMounted={false}>
        <Tabs.List>
          {programs.map(({ language }) => (
            <Tabs.Tab key={language} value={language}>
              {language}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {programs.map(({ language, program }) => (
          <Tabs.Panel key={language} value={language} pt="sm">
            <Block title={language} text={program} />
          </Tabs.Panel>
        ))}
      </Tabs>
    </Stack>
  );
}

/** The first program below each heading of the guide's chapter "Receivers". */
export function receivers(markdown: string): { language: string; program: string }[] {
  const chapter = markdown.split(/^## /m).find((part) => part.startsWith("Receivers\n")) ?? "";
  return chapter.split(/^### /m).flatMap((part) => {
    const program = /^```\w+\n([\s\S]*?)^```/m.exec(part)?.[1];
    return program === undefined ? [] : [{ language: part.split("\n")[0] ?? "", program }];
  });
}
