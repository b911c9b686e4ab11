/** The nonce the server put into the page: every style element made here carries it, or the content security policy drops it. */
export function styleNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
}

/** Tells it to the library behind Mantine's dialogs too, whose style keeps the page behind them from scrolling. */
export function shareStyleNonce(): void {
  Object.assign(globalThis, { __webpack_nonce__: styleNonce() });
}
