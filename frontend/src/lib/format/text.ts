/** `self_test_failed` as words: `self test failed`. Codes stay codes where they are copied. */
export function words(code: string): string {
  return code.replaceAll("_", " ").replaceAll(".", ": ");
}

/** First letter upper case. */
export function sentence(text: string): string {
  return text === "" ? "" : text.charAt(0).toUpperCase() + text.slice(1);
}

/** A digest short enough for a cell: `e3b7…41fd`. */
export function shortDigest(digest: string): string {
  return digest.length <= 12 ? digest : `${digest.slice(0, 4)}\u2026${digest.slice(-4)}`;
}
