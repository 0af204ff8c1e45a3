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
