import { createRootRoute, createRoute, createRouter, type ErrorComponentProps, lazyRouteComponent, type RouterHistory } from "@tanstack/react-router";

import { Frame } from "@/app/frame";
import { LinkButton } from "@/components/ui/button";
import { Empty } from "@/components/ui/empty";
import { LoadError } from "@/components/ui/load-error";
import { PageHead } from "@/components/ui/page";
import { paths } from "@/lib/path-builder";

function NoSuchPage() {
  return (
    <>
      <PageHead title="No such page" />
      <Empty title="There is nothing at this address.">
        <p>The link may be mistyped, or from another version.</p>
        <p style={{ marginTop: 8 }}>
          <LinkButton to={paths.overview()}>Go to the overview</LinkButton>
        </p>
      </Empty>
    </>
  );
}

/** A fault of a screen: the frame stays, the screen says so and can be tried again. */
function Fault({ error, reset }: ErrorComponentProps) {
  return <LoadError what="This screen" error={error instanceof Error ? error : new Error(String(error))} onRetry={reset} />;
}

const root = createRootRoute({ component: Frame, notFoundComponent: NoSuchPage, errorComponent: Fault });

const page = <P extends string>(path: P, component: ReturnType<typeof lazyRouteComponent>) => createRoute({ getParentRoute: () => root, path, component });

const routeTree = root.addChildren([
  page("/", lazyRouteComponent(() => import("@/features/overview/overview-page"), "OverviewPage")),
  page("/devices", lazyRouteComponent(() => import("@/features/fleet/devices-page"), "DevicesPage")),
  page("/devices/$id", lazyRouteComponent(() => import("@/features/fleet/device-page"), "DevicePage")),
  page("/models", lazyRouteComponent(() => import("@/features/models/models-page"), "ModelsPage")),
  page("/models/publish", lazyRouteComponent(() => import("@/features/models/publish-page"), "PublishPage")),
  page("/versions/$id", lazyRouteComponent(() => import("@/features/models/version-page"), "VersionPage")),
  page("/rollouts", lazyRouteComponent(() => import("@/features/rollouts/rollouts-page"), "RolloutsPage")),
  page("/rollouts/new", lazyRouteComponent(() => import("@/features/rollouts/planner-page"), "PlannerPage")),
  page("/rollouts/$id", lazyRouteComponent(() => import("@/features/rollouts/rollout-page"), "RolloutPage")),
  page("/drift", lazyRouteComponent(() => import("@/features/telemetry/drift-page"), "DriftPage")),
  page("/alerts", lazyRouteComponent(() => import("@/features/telemetry/alerts-page"), "AlertsPage")),
  page("/jobs", lazyRouteComponent(() => import("@/features/jobs/jobs-page"), "JobsPage")),
  page("/audit", lazyRouteComponent(() => import("@/features/governance/audit-page"), "AuditPage")),
  page("/settings", lazyRouteComponent(() => import("@/features/governance/settings-page"), "SettingsPage")),
]);

/** Parameters stay text: a version `1.0` must not become the number 1. */
const parseSearch = (text: string): Record<string, string> => Object.fromEntries(new URLSearchParams(text));

function stringifySearch(search: Record<string, unknown>): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) if (typeof value === "string" && value !== "") parameters.set(key, value);
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}

export function createAppRouter(history?: RouterHistory) {
  return createRouter({
    routeTree,
    parseSearch,
    stringifySearch,
    defaultPendingMs: 300,
    scrollRestoration: true,
    ...(history === undefined ? {} : { history }),
  });
}
