// The HTTP API as the page asks it. Addresses are relative to the page's own, so that it works behind a prefix.

const BASE = new URL("../", new URL(".", document.baseURI));
const READS = ["GET", "HEAD"];
const PATIENCE_MS = 30000; // for an answer to a GET; a server that is frozen gives none

let csrf = null;
const events = new EventTarget();

// What was wrong: `status` (0: no answer came), `title`, `detail`, `retryAfter` (seconds or null), `body` (the problem document).
export class ApiError extends Error {
  constructor(status, { title = "", detail = "", ...rest } = {}, retryAfter = null) {
    super(detail || title || `HTTP ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.retryAfter = retryAfter;
    this.body = rest;
  }
}

// Tells what login or /admin/session answered; null forgets it.
export function setSession(session) {
  csrf = session ? session.csrf : null;
}

// Called when an answer says that nobody is logged in (any more).
export function onSignedOut(listener) {
  events.addEventListener("signed-out", listener);
}

// The address of a path of the API ("/image-cache/images/7/content"), for src, href and EventSource.
export function url(path, query) {
  const to = new URL(path.replace(/^\/+/, ""), BASE);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") to.searchParams.set(name, value);
  }
  return to.href;
}

export const get = (path, options) => request("GET", path, options);
export const post = (path, body, options) => request("POST", path, { body: body ?? {}, ...options });
export const patch = (path, body, options) => request("PATCH", path, { body, ...options });
export const del = (path, options) => request("DELETE", path, options);

// The answer's JSON, or null for one without. `body` is sent as JSON, `file` (a Blob) as it is; `onProgress(sent, total)`
// is called while a file is sent; `headers` are added; `patience` in ms. Throws an ApiError, or an AbortError when `signal` says so.
export async function request(method, path, options = {}) {
  const token = csrf;
  try {
    return await once(method, path, options);
  } catch (error) {
    if (path === "/admin/login" || !(error instanceof ApiError)) throw error;
    // Somebody logged in again in another tab: the token that goes with the new cookie is another one.
    if (error.status === 403 && !READS.includes(method) && (await renewed(token))) return once(method, path, options);
    if (error.status === 401) events.dispatchEvent(new Event("signed-out"));
    throw error;
  }
}

// Whether the session has another token than that.
async function renewed(token) {
  setSession(await request("GET", "/admin/session"));
  return csrf !== token;
}

function once(method, path, { query, body, file, headers, signal, onProgress, patience = PATIENCE_MS } = {}) {
  const fields = { Accept: "application/json", ...headers };
  if (csrf && !READS.includes(method)) fields["X-CSRF-Token"] = csrf;
  if (body !== undefined) fields["Content-Type"] = "application/json";
  const content = body !== undefined ? JSON.stringify(body) : file;
  const send = file && onProgress ? upload : plain;
  if (READS.includes(method)) signal = AbortSignal.any([AbortSignal.timeout(patience), ...(signal ? [signal] : [])]);
  return send(method, url(path, query), fields, content, signal, onProgress);
}

async function plain(method, to, headers, body, signal) {
  let answer, text;
  try {
    answer = await fetch(to, { method, headers, body, signal, cache: "no-store", credentials: "same-origin" });
    text = await answer.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { detail: error.message });
  }
  return read(answer.status, text, answer.headers.get("Retry-After"));
}

// fetch() does not tell how much was sent.
function upload(method, to, headers, body, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open(method, to);
    for (const [name, value] of Object.entries(headers)) sending.setRequestHeader(name, value);
    sending.upload.onprogress = (event) => onProgress(event.loaded, event.total);
    sending.onload = () => {
      try {
        resolve(read(sending.status, sending.responseText, sending.getResponseHeader("Retry-After")));
      } catch (error) {
        reject(error);
      }
    };
    sending.onerror = () => reject(new ApiError(0));
    sending.onabort = () => reject(new DOMException("", "AbortError"));
    signal?.addEventListener("abort", () => sending.abort(), { once: true });
    sending.send(body);
  });
}

function read(status, text, retryAfter) {
  let content = null;
  try {
    content = text ? JSON.parse(text) : null;
  } catch {
    content = null; // some proxy's page
  }
  if (status >= 200 && status < 300) return content;
  throw new ApiError(status, content ?? {}, seconds(retryAfter));
}

// Retry-After, which a proxy may write as a date; an hour at most. null: there is none.
function seconds(retryAfter) {
  const left = /^\d+$/.test(retryAfter ?? "") ? Number(retryAfter) : (Date.parse(retryAfter) - Date.now()) / 1000;
  return Number.isNaN(left) ? null : Math.ceil(Math.min(Math.max(left, 0), 3600));
}
