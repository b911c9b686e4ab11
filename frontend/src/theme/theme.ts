import { type CSSVariablesResolver, createTheme, Input, type MantineColorsTuple, Menu, Modal, Popover, rem, Tooltip } from "@mantine/core";

/** Mantine's ten steps of each hue. Screens do not use them: they use the --fl-* tokens, which these agree with. */
const ramp = (...steps: [string, string, string, string, string, string, string, string, string, string]): MantineColorsTuple => steps;

/** What opens over a screen is put into its main part (app/frame.tsx), where readers look for it. */
const portalProps = { target: "#overlays" };

export const theme = createTheme({
  primaryColor: "accent",
  primaryShade: { light: 6, dark: 5 },
  colors: {
    accent: ramp("#EEF4FC", "#C6DDFC", "#9DC6FA", "#74AEF7", "#5290E3", "#2E72CE", "#1F66CC", "#1A5DBE", "#124389", "#0B2A57"),
    ok: ramp("#EAF6F2", "#BCE8D6", "#8AD9BB", "#4CC9A0", "#3EB991", "#2FA982", "#189172", "#0A7357", "#08523E", "#053427"),
    warn: ramp("#FDF4E0", "#F8E1B3", "#F2CE83", "#ECBB4A", "#E3AC42", "#D6982A", "#C98500", "#8A5600", "#623D00", "#3D2600"),
    crit: ramp("#FDEFEA", "#FFCFBD", "#FFAE91", "#FF8B62", "#F3734A", "#E65A30", "#B52F0C", "#902508", "#6C1B05", "#4A1203"),
    gray: ramp("#F5F6F6", "#EEF0F0", "#E1E5E6", "#C9CFD2", "#A6AEB3", "#848F94", "#636D72", "#465056", "#2A3236", "#161C1F"),
    dark: ramp("#E7EBEC", "#AEB8BC", "#8A959A", "#6C777C", "#3A4449", "#23292D", "#171C1F", "#0F1315", "#0A0E10", "#060809"),
  },
  fontFamily: '"Inter Variable", "Inter", system-ui, sans-serif',
  fontFamilyMonospace: '"JetBrains Mono Variable", "JetBrains Mono", ui-monospace, monospace',
  fontSizes: { xs: rem(11), sm: rem(12), md: rem(13), lg: rem(16), xl: rem(20) },
  lineHeights: { xs: "14px", sm: "16px", md: "18px", lg: "20px", xl: "26px" },
  spacing: { xs: rem(4), sm: rem(8), md: rem(12), lg: rem(16), xl: rem(24) },
  radius: { xs: rem(2), sm: rem(3), md: rem(5) },
  defaultRadius: "md",
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    // Help stands under the field, and the error takes its place (mantine.css).
    InputWrapper: Input.Wrapper.extend({ defaultProps: { inputWrapperOrder: ["label", "input", "description", "error"] } }),
    // A menu has items only: the first of them takes the focus, not a placeholder before it.
    Menu: Menu.extend({ defaultProps: { withInitialFocusPlaceholder: false, transitionProps: { duration: 120 } } }),
    Popover: Popover.extend({ defaultProps: { portalProps } }),
    Tooltip: Tooltip.extend({ defaultProps: { portalProps, openDelay: 400, events: { hover: true, focus: true, touch: true }, multiline: true, maw: 320 } }),
    Modal: Modal.extend({ defaultProps: { centered: true, transitionProps: { duration: 120, transition: "fade" } } }),
  },
});

const shared = {
  "--mantine-color-text": "var(--fl-text)",
  "--mantine-color-dimmed": "var(--fl-text-3)",
  "--mantine-color-body": "var(--fl-canvas)",
  "--mantine-color-default": "var(--fl-canvas)",
  "--mantine-color-default-hover": "var(--fl-hover)",
  "--mantine-color-default-color": "var(--fl-text)",
  "--mantine-color-default-border": "var(--fl-line-strong)",
  "--mantine-color-error": "var(--fl-crit)",
  "--mantine-color-placeholder": "var(--fl-text-3)",
  "--mantine-color-anchor": "var(--fl-accent)",
};

export const cssVariablesResolver: CSSVariablesResolver = () => ({ variables: {}, light: shared, dark: shared });
