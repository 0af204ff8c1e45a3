import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import de from "../../locales/de.json";
import en from "../../locales/en.json";
import fr from "../../locales/fr.json";
import it from "../../locales/it.json";

const LANGUAGES = { en, de, it, fr } as Record<string, Record<string, string>>;

function placeholders(text: string): string[] {
  return (text.match(/\{\{\w+\}\}/g) ?? []).sort();
}

function singular(key: string): string {
  return key.replace(/_(?:zero|one|two|few|many|other)$/, "");
}

test.each(Object.entries(LANGUAGES))(
  "%s has every text, with the same placeholders",
  (_, texts) => {
    expect(new Set(Object.keys(texts).map(singular))).toEqual(
      new Set(Object.keys(en).map(singular)),
    );
    for (const [key, text] of Object.entries(texts)) {
      expect(text.trim(), key).not.toBe("");
      expect(placeholders(text), key).toEqual(placeholders(key));
    }
  },
);

test.each(["de", "it", "fr"])(
  "%s has the texts of the whole catalogue, and no others",
  (language) => {
    const folder = new URL("../../../src/hookline/domain/event_types/", import.meta.url);
    const read = (file: URL) => JSON.parse(readFileSync(file, "utf-8"));
    const { groups }: { groups: string[] } = read(new URL("groups.json", folder));
    const built: { name: string; types: { name: string }[] }[] = groups.map((group) =>
      read(new URL(`${group}.json`, folder)),
    );
    const names = built.flatMap(({ name, types }) => [name, ...types.map((type) => type.name)]);
    const texts: Record<string, { title: string; description: string }> = read(
      new URL(`../../locales/catalogue/${language}.json`, import.meta.url),
    );
    expect(Object.keys(texts).sort()).toEqual(names.sort());
    for (const [name, { title, description }] of Object.entries(texts)) {
      expect(title.trim(), name).not.toBe("");
      expect(description.trim(), name).not.toBe("");
    }
  },
);
