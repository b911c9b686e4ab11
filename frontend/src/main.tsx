import "@fontsource-variable/inter";
import "@fontsource-variable/jetbrains-mono";
import "@mantine/core/styles.css";
import "@mantine/spotlight/styles.css";
import "@/theme/tokens.css";
import "@/theme/base.css";
import "@/theme/mantine.css";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "@/app/app";
import { applyPreferences } from "@/lib/preferences";
import { shareStyleNonce } from "@/lib/style-nonce";

async function start(): Promise<void> {
  if (import.meta.env.MODE === "mock") {
    const { installMockServer } = await import("@/testing/mock-api/browser");
    installMockServer();
  }
  shareStyleNonce();
  applyPreferences();
  const root = document.getElementById("root");
  if (root === null) throw new Error("index.html has no #root");
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}

void start();
