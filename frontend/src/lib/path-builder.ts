/** Every address of the dashboard, in one place. Screens link through these and never write a path themselves. */

type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>;

/** Adds the given parameters; those that are empty stay out, so that equal screens have equal addresses. */
function withQuery(path: string, query: Query): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "" || value === false) continue;
    for (const item of Array.isArray(value) ? (value as readonly string[]) : [String(value)]) parameters.append(key, item);
  }
  const text = parameters.toString();
  return text === "" ? path : `${path}?${text}`;
}

const segment = encodeURIComponent;

export interface DeviceFilter {
  state?: string | undefined;
  region?: string | undefined;
  site?: string | undefined;
  hardware_profile?: string | undefined;
  is_online?: string | undefined;
  model?: string | undefined;
  version?: string | undefined;
  label?: string | undefined;
  search?: string | undefined;
}

export const paths = {
  overview: () => "/",
  devices: (filter: DeviceFilter = {}) => withQuery("/devices", { ...filter }),
  device: (id: string, options: { tab?: string } = {}) => withQuery(`/devices/${segment(id)}`, options),
  models: () => "/models",
  publish: (options: { model?: string } = {}) => withQuery("/models/publish", options),
  version: (id: string) => `/versions/${segment(id)}`,
  rollouts: (filter: { state?: string; model?: string } = {}) => withQuery("/rollouts", filter),
  rolloutPlanner: (options: { version?: string } = {}) => withQuery("/rollouts/new", options),
  rollout: (id: string, options: { wave?: number; gate?: string } = {}) => withQuery(`/rollouts/${segment(id)}`, options),
  drift: (options: { version_id?: string; region?: string; hardware_profile?: string | null; feature?: string } = {}) => withQuery("/drift", options),
  alerts: (options: { state?: string; severity?: string; alert?: string } = {}) => withQuery("/alerts", options),
  jobs: (filter: { state?: string } = {}) => withQuery("/jobs", filter),
  audit: (filter: { object_kind?: string; action?: string } = {}) => withQuery("/audit", filter),
  settings: (section?: string) => withQuery("/settings", { section }),
  /** The page of something an event, a job or an audit entry names; null when it has no page of its own. */
  object: (kind: string, id: string): string | null => {
    switch (kind) {
      case "device":
        return paths.device(id);
      case "version":
      case "model_version":
        return paths.version(id);
      case "rollout":
        return paths.rollout(id);
      case "alert":
        return paths.alerts({ alert: id });
      case "model":
        return paths.models();
      default:
        return null;
    }
  },
};
