import { createRootRoute, createRoute, createRouter, type ErrorComponentProps, lazyRouteComponent, type RouterHistory } from "@tanstack/react-router";

import { Frame } from "@/app/frame";
import { LinkButton } from "@/components/ui/button";
import { Empty } from "@/components/ui/empty";
import { LoadError } from "@/components/ui/load-error";
import { Skeleton } from "@/components/ui/loading";
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

/** A screen whose code is fetched when it is first opened; until it is here its heading stands over rows to come. */
function page<P extends string>(path: P, title: string, component: ReturnType<typeof lazyRouteComponent>) {
  const Pending = () => (
    <>
      <PageHead title={title} />
      <Skeleton rows={12} />
    </>
  );
  return createRoute({ getParentRoute: () => root, path, component, pendingComponent: Pending });
}

const routeTree = root.addChildren([
  page("/", "Overview", lazyRouteComponent(() => import("@/features/overview/overview-page"), "OverviewPage")),
  page("/devices", "Devices", lazyRouteComponent(() => import("@/features/fleet/devices-page"), "DevicesPage")),
  page("/devices/$id", "Device", lazyRouteComponent(() => import("@/features/fleet/device-page"), "DevicePage")),
  page("/models", "Models", lazyRouteComponent(() => import("@/features/models/models-page"), "ModelsPage")),
  page("/models/publish", "Publish version", lazyRouteComponent(() => import("@/features/models/publish-page"), "PublishPage")),
  page("/versions/$id", "Version", lazyRouteComponent(() => import("@/features/models/version-page"), "VersionPage")),
  page("/rollouts", "Rollouts", lazyRouteComponent(() => import("@/features/rollouts/rollouts-page"), "RolloutsPage")),
  page("/rollouts/new", "Plan rollout", lazyRouteComponent(() => import("@/features/rollouts/planner-page"), "PlannerPage")),
  page("/rollouts/$id", "Rollout", lazyRouteComponent(() => import("@/features/rollouts/rollout-page"), "RolloutPage")),
  page("/drift", "Drift", lazyRouteComponent(() => import("@/features/telemetry/drift-page"), "DriftPage")),
  page("/alerts", "Alerts", lazyRouteComponent(() => import("@/features/telemetry/alerts-page"), "AlertsPage")),
  page("/jobs", "Jobs", lazyRouteComponent(() => import("@/features/jobs/jobs-page"), "JobsPage")),
  page("/audit", "Audit", lazyRouteComponent(() => import("@/features/governance/audit-page"), "AuditPage")),
  page("/settings", "Settings", lazyRouteComponent(() => import("@/features/governance/settings-page"), "SettingsPage")),
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
    // The screen before stays for this long; nothing is held back once the next one is there.
    defaultPendingMs: 300,
    defaultPendingMinMs: 0,
    scrollRestoration: true,
    ...(history === undefined ? {} : { history }),
  });
}
