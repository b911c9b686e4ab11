import { readdirSync } from "node:fs";

import js from "@eslint/js";
import jsxA11y from "eslint-plugin-jsx-a11y";
import reactHooks from "eslint-plugin-react-hooks";
import globals from "globals";
import tseslint from "typescript-eslint";

const features = readdirSync(new URL("./src/features", import.meta.url));

// Colours have names (theme/tokens.css); a literal would be right in one of the two themes at most.
const rawColour = "/(#[0-9a-f]{3,8}$)|(^(rgb|hsl)a?\\()/i";
const rampColour = "/^(blue|red|green|gray|dark|yellow|orange|teal|cyan|grape|violet|indigo|pink|lime|accent|ok|warn|crit)\\.\\d$/";
const colourMessage = "Use a --fl-* token of theme/tokens.css; only theme/ names colours.";

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", "src/lib/api/schema.d.ts"] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      globals: globals.browser,
      parserOptions: { projectService: { allowDefaultProject: ["eslint.config.js"] }, tsconfigRootDir: import.meta.dirname },
    },
  },
  {
    files: ["src/**/*.{ts,tsx}"],
    plugins: { "react-hooks": reactHooks, "jsx-a11y": jsxA11y },
    rules: {
      ...reactHooks.configs.recommended.rules,
      ...jsxA11y.flatConfigs.recommended.rules,
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: { attributes: false } }],
      "no-restricted-syntax": [
        "error",
        { selector: `Literal[value=${rawColour}]`, message: colourMessage },
        { selector: `Literal[value=${rampColour}]`, message: colourMessage },
      ],
      "no-restricted-imports": ["error", { patterns: [{ group: ["@/features/*", "@/app/*"], message: "app -> features -> components, hooks, lib: imports point one way." }] }],
    },
  },
  ...features.map((feature) => ({
    files: [`src/features/${feature}/**/*.{ts,tsx}`],
    rules: {
      "no-restricted-imports": [
        "error",
        {
          patterns: [
            { group: ["@/app/*"], message: "Features do not know the application around them." },
            {
              group: features.filter((other) => other !== feature).map((other) => `@/features/${other}/*`),
              message: "A feature does not import another feature; share through components, hooks or lib.",
            },
          ],
        },
      ],
    },
  })),
  { files: ["src/app/**/*.{ts,tsx}", "src/main.tsx", "src/testing/**/*.{ts,tsx}", "src/**/*.test.{ts,tsx}"], rules: { "no-restricted-imports": "off" } },
  { files: ["src/theme/**/*.{ts,tsx}"], rules: { "no-restricted-syntax": "off" } },
  { files: ["**/*.js"], ...tseslint.configs.disableTypeChecked },
);
