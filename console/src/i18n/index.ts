// The console's languages; every text is its own key, and each language is a file loaded when it is shown.
import i18next from "i18next";
import { initReactI18next } from "react-i18next";

export const LANGUAGES = { en: "English", de: "Deutsch", it: "Italiano", fr: "Français" } as const;
export type Language = keyof typeof LANGUAGES;

const KEPT = "hookline.language";
const FILES: Record<Language, () => Promise<{ default: Record<string, string> }>> = {
  en: () => import("../../locales/en.json"),
  de: () => import("../../locales/de.json"),
  it: () => import("../../locales/it.json"),
  fr: () => import("../../locales/fr.json"),
};

/** The viewer's own kind of a language, `en-GB` say, for dates and numbers. */
export function localeOf(language: string): string {
  return navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;
}

type CatalogueTexts = Record<string, { title: string; description: string }>;
/** By the names of groups and types; English is what the API says. */
const CATALOGUE: Record<Language, () => Promise<{ default: CatalogueTexts }>> = {
  en: () => Promise.resolve({ default: {} }),
  de: () => import("../../locales/catalogue/de.json"),
  it: () => import("../../locales/catalogue/it.json"),
  fr: () => import("../../locales/catalogue/fr.json"),
};

/** The title and description of a built-in group or type in a language; nothing where it has none. */
export function catalogueText(language: string, name: string): CatalogueTexts[string] | undefined {
  return i18next.getResource(language, "catalogue", name) as CatalogueTexts[string] | undefined;
}

function isLanguage(value: string | undefined): value is Language {
  return value !== undefined && value in LANGUAGES;
}

function preferred(): Language {
  const wanted = [
    localStorage.getItem(KEPT) ?? undefined,
    ...navigator.languages.map((tag) => tag.split("-")[0]),
  ];
  return wanted.find(isLanguage) ?? "en";
}

async function load(language: Language): Promise<void> {
  if (i18next.hasResourceBundle(language, "translation")) return;
  const [texts, catalogue] = await Promise.all([FILES[language](), CATALOGUE[language]()]);
  i18next.addResourceBundle(language, "translation", texts.default);
  i18next.addResourceBundle(language, "catalogue", catalogue.default);
}

/** Show another language from now on, in this browser. */
export async function speak(language: Language): Promise<void> {
  await load(language);
  localStorage.setItem(KEPT, language);
  await i18next.changeLanguage(language);
  document.documentElement.lang = language;
}

export async function startI18n(): Promise<void> {
  const language = preferred();
  await i18next.use(initReactI18next).init({
    lng: language,
    resources: {},
    keySeparator: false,
    nsSeparator: false,
    interpolation: { escapeValue: false }, // React escapes
    returnEmptyString: false,
  });
  await load(language);
  await i18next.changeLanguage(language);
  document.documentElement.lang = language;
}
