import "@testing-library/jest-dom/vitest";

import { cleanup, configure } from "@testing-library/react";
import { afterEach, vi } from "vitest";

// Pure modules are tested without a document.
const hasDocument = typeof document !== "undefined";

afterEach(() => {
  if (!hasDocument) return;
  cleanup();
  localStorage.clear();
  vi.unstubAllGlobals();
});

/** What a browser has and jsdom has not. Without a canvas the plots show their sentence and table. */
function completeBrowser(): void {
  HTMLCanvasElement.prototype.getContext = (() => null) as typeof HTMLCanvasElement.prototype.getContext;
  HTMLElement.prototype.scrollIntoView = () => undefined;
  const nothing = () => undefined;
  globalThis.ResizeObserver = class {
    observe = nothing;
    unobserve = nothing;
    disconnect = nothing;
  };
  globalThis.scrollTo = nothing;
  // No style sheet is loaded, so nothing is hidden by one: the walk through all styles that every query by role makes in
  // jsdom, most of a test's time, would find nothing.
  const known: Record<string, unknown> = { display: "block", visibility: "visible", pointerEvents: "auto", getPropertyValue: () => "" };
  const style = new Proxy(known, { get: (target, name): unknown => target[String(name)] ?? "" });
  globalThis.getComputedStyle = (() => style) as unknown as typeof getComputedStyle;
  configure({ defaultHidden: true, asyncUtilTimeout: 20_000, getElementError: (message) => new Error(message ?? "not found") });
  Object.defineProperty(globalThis, "matchMedia", {
    value: (query: string) => ({ matches: false, media: query, addEventListener: nothing, removeEventListener: nothing, addListener: nothing, removeListener: nothing, dispatchEvent: () => false, onchange: null }),
  });
  Object.defineProperty(document, "fonts", { value: { addEventListener: nothing, removeEventListener: nothing } });
}

if (hasDocument) completeBrowser();
