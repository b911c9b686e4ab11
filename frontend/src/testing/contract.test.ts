// @vitest-environment node
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

import openapiTS, { astToString } from "openapi-typescript";
import { expect, it } from "vitest";

it("reads the API by the types of the committed OpenAPI document (npm run openapi writes them)", async () => {
  const generated = astToString(await openapiTS(pathToFileURL("../docs/api/openapi.yaml")));
  const committed = readFileSync("src/lib/api/schema.d.ts", "utf8");
  expect(committed.endsWith(generated.trimEnd() + "\n") || committed.endsWith(generated)).toBe(true);
});
