/** Uploads over tus 1.0 (`/api/v1/uploads/`): in pieces, resumable after a lost connection and after a reload. */
import { type HttpRequest, type HttpResponse, type HttpStack, Upload } from "tus-js-client";

import { ApiError, apiUrl, csrfHeaders } from "@/lib/api/client";

const PIECE_BYTES = 4_000_000;
const RETRY_DELAYS_MS = [500, 1_500, 4_000, 10_000];

/** One request of the upload by fetch, like every other request of the dashboard. */
class FetchRequest implements HttpRequest {
  private readonly method: string;
  private readonly url: string;
  private readonly headers: Record<string, string> = {};
  private readonly controller = new AbortController();
  private progress: (bytesSent: number) => void = () => undefined;

  constructor(method: string, url: string) {
    this.method = method;
    this.url = url;
  }

  getMethod = () => this.method;
  getURL = () => this.url;
  getUnderlyingObject = () => null;
  getHeader = (name: string) => this.headers[name] ?? "";

  setHeader(name: string, value: string): void {
    this.headers[name] = value;
  }

  setProgressHandler(handler: (bytesSent: number) => void): void {
    this.progress = handler;
  }

  async send(body?: unknown): Promise<HttpResponse> {
    const response = await fetch(this.url, { method: this.method, headers: { ...this.headers, ...csrfHeaders() }, body: (body ?? null) as BodyInit | null, credentials: "same-origin", signal: this.controller.signal });
    if (body instanceof Blob) this.progress(body.size);
    const text = await response.text();
    return { getStatus: () => response.status, getHeader: (name: string) => response.headers.get(name) ?? undefined, getBody: () => text, getUnderlyingObject: () => response };
  }

  abort(): Promise<void> {
    this.controller.abort();
    return Promise.resolve();
  }
}

const fetchStack: HttpStack = { createRequest: (method: string, url: string) => new FetchRequest(method, url), getName: () => "fetch" };

export interface UploadHandle {
  pause: () => void;
  resume: () => void;
}

interface UploadOptions {
  file: File;
  onProgress: (sentBytes: number) => void;
  /** The id to name in the request that uses the file. */
  onDone: (uploadId: string) => void;
  onError: (error: ApiError) => void;
}

function problemOf(error: Error): ApiError {
  const response = (error as { originalResponse?: { getStatus: () => number; getBody: () => string } | null }).originalResponse;
  if (response == null) return new ApiError({ status: 0, code: "client.upload_interrupted", message: "The connection was lost. What was sent is kept: Resume goes on from there." });
  try {
    const body = JSON.parse(response.getBody()) as { code: string; message: string; request_id: string };
    return new ApiError({ status: response.getStatus(), code: body.code, message: body.message, requestId: body.request_id });
  } catch {
    return new ApiError({ status: response.getStatus(), code: `http.${response.getStatus()}`, message: `The server answered ${response.getStatus()}.` });
  }
}

/** Starts sending `file`; a former upload of the same file that was not finished goes on where it stopped. */
export function startUpload({ file, onProgress, onDone, onError }: UploadOptions): UploadHandle {
  const upload = new Upload(file, {
    endpoint: apiUrl("uploads/"),
    httpStack: fetchStack,
    chunkSize: PIECE_BYTES,
    retryDelays: RETRY_DELAYS_MS,
    metadata: { filename: file.name },
    removeFingerprintOnSuccess: true,
    onProgress: (sent) => onProgress(sent),
    onError: (error) => onError(problemOf(error)),
    onSuccess: () => onDone(upload.url?.replace(/\/+$/, "").split("/").at(-1) ?? ""),
  });
  const start = async () => {
    const [former] = await upload.findPreviousUploads();
    if (former !== undefined) upload.resumeFromPreviousUpload(former);
    upload.start();
  };
  void start();
  return { pause: () => void upload.abort(), resume: () => upload.start() };
}
