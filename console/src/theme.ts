// Colours and defaults; contrasts are held to WCAG AA by tests/browser.
import { createTheme, type CSSVariablesResolver, Popover, rem } from "@mantine/core";

export const theme = createTheme({
  primaryColor: "cyan",
  primaryShade: 9, // white text on it has a contrast of 5.6
  defaultRadius: "md",
  cursorType: "pointer",
  fontFamily: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
  fontFamilyMonospace:
    "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace",
  headings: {
    fontWeight: "650",
    sizes: { h1: { fontSize: rem(26) }, h2: { fontSize: rem(20) }, h3: { fontSize: rem(16) } },
  },
  components: {
    // What is open stays open where something that loads above it moves its button out of sight.
    Popover: Popover.extend({ defaultProps: { hideDetached: false } }),
  },
});

export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "#5c636a",
    "--mantine-color-error": "#c92a2a",
    "--mantine-color-placeholder": "#6b7278",
    "--mantine-color-body": "#ffffff",
  },
  dark: {
    "--mantine-color-dimmed": "#a6adb4",
    "--mantine-color-error": "#ff8787",
    "--mantine-color-placeholder": "#9aa1a8",
  },
});
