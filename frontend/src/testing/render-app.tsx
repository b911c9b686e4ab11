/** The whole dashboard on the mock server, as a person meets it. */
import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { createMemoryHistory, RouterProvider } from "@tanstack/react-router";
import { render } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { vi } from "vitest";

import { createAppRouter } from "@/app/router";
import { createQueryClient } from "@/lib/api/query-client";
import { MockServer } from "@/testing/mock-api/server";
import type { World } from "@/testing/mock-api/world";
import { cssVariablesResolver, theme } from "@/theme/theme";

/** Renders the dashboard at `path`; `arrange` bends the world before anything is asked. */
export function renderApp(path: string, arrange: (world: World, server: MockServer) => void = () => undefined) {
  const server = new MockServer();
  arrange(server.world, server);
  vi.stubGlobal("fetch", server.fetch);
  vi.stubGlobal("WebSocket", function MockWebSocket() {
    return server.connect();
  });
  const client = createQueryClient();
  client.setDefaultOptions({ queries: { ...client.getDefaultOptions().queries, retry: false } });
  const history = createMemoryHistory({ initialEntries: [path] });
  const router = createAppRouter(history);
  const view = render(
    <MantineProvider theme={theme} cssVariablesResolver={cssVariablesResolver} env="test">
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>,
  );
  return { ...view, server, client, history, user: userEvent.setup({ delay: null, pointerEventsCheck: 0 }) };
}
