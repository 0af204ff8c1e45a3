// Extracts every text of the console into locales/, where each language has to have it.
import { defineConfig } from "i18next-cli";

export default defineConfig({
  locales: ["en", "de", "it", "fr"],
  extract: {
    input: ["src/**/*.{ts,tsx}"],
    ignore: ["src/client/**", "src/**/*.test.ts"],
    output: "locales/{{language}}.json",
    keySeparator: false,
    nsSeparator: false,
    primaryLanguage: "en",
    defaultValue: (key, _namespace, language) =>
      language === "en" ? key.replace(/_(?:zero|one|two|few|many|other)$/, "") : "",
    removeUnusedKeys: true,
    sort: true,
  },
});
