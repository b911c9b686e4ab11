/** One way to the API: JSON in, JSON out, one error type, CSRF on every unsafe request, an end to every wait. */
import type { ErrorBody } from "@/lib/api/types";

const TIMEOUT_MS = 20_000;

/** What went wrong, in the API's own words where it answered and in ours where it did not. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly fields: Record<string, string>;
  readonly requestId: string;
  readonly retryAfterS: number | null;

  constructor(init: { status: number; code: string; message: string; fields?: Record<string, string>; requestId?: string; retryAfterS?: number | null }) {
    super(init.message);
    this.name = "ApiError";
    this.status = init.status;
    this.code = init.code;
    this.fields = init.fields ?? {};
    this.requestId = init.requestId ?? "";
    this.retryAfterS = init.retryAfterS ?? null;
  }
}

let csrfToken = "";

/** Keeps the token the session answered with; unsafe requests carry it. */
export function setCsrfToken(token: string): void {
  csrfToken = token;
}

/** Header of unsafe requests; also for the upload door, which has its own client. */
export function csrfHeaders(): Record<string, string> {
  return csrfToken === "" ? {} : { "X-CSRFToken": csrfToken };
}

export type Query = Record<string, string | number | boolean | null | undefined>;

/** Address below `/api/v1/`. Empty parameters stay out. */
export function apiUrl(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") parameters.set(key, String(value));
  }
  const text = parameters.toString();
  return `/api/v1/${path}${text === "" ? "" : `?${text}`}`;
}

function isErrorBody(body: unknown): body is ErrorBody {
  return typeof body === "object" && body !== null && typeof (body as ErrorBody).code === "string" && typeof (body as ErrorBody).message === "string";
}

async function errorOf(response: Response): Promise<ApiError> {
  const requestId = response.headers.get("X-Request-Id") ?? "";
  const retryAfter = Number(response.headers.get("Retry-After") ?? "");
  const retryAfterS = Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : null;
  let body: unknown = null;
  try {
    body = await response.json();
  } catch {
    // A proxy's page instead of our JSON; the status says what is to be said.
  }
  if (!isErrorBody(body)) {
    return new ApiError({ status: response.status, code: `http.${response.status}`, message: `The server answered ${response.status}.`, requestId, retryAfterS });
  }
  const fields: Record<string, string> = {};
  for (const [name, problem] of Object.entries(body.fields)) fields[name] = Array.isArray(problem) ? problem.join(" ") : problem;
  return new ApiError({ status: response.status, code: body.code, message: body.message, fields, requestId: body.request_id || requestId, retryAfterS });
}

async function request<T>(method: string, url: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") Object.assign(headers, csrfHeaders());
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers,
      credentials: "same-origin",
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new ApiError(
      timeout.aborted
        ? { status: 0, code: "client.timeout", message: `No answer for ${TIMEOUT_MS / 1000} s.` }
        : { status: 0, code: "client.unreachable", message: "The server cannot be reached." },
    );
  }
  if (!response.ok) throw await errorOf(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export const api = {
  get: <T>(path: string, query?: Query, signal?: AbortSignal) => request<T>("GET", apiUrl(path, query), undefined, signal),
  post: <T>(path: string, body: unknown = {}, signal?: AbortSignal) => request<T>("POST", apiUrl(path), body, signal),
  patch: <T>(path: string, body: unknown) => request<T>("PATCH", apiUrl(path), body),
  delete: <T>(path: string) => request<T>("DELETE", apiUrl(path), undefined),
};

/** The cursor inside a page's `next` address, or null at the end. */
export function cursorOf(next: string | null): string | null {
  return next === null ? null : new URL(next, "http://localhost").searchParams.get("cursor");
}
