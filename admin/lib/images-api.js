// Stored images over the HTTP API.

import { del, get, patch, post, request, url } from "./api.js";
import { forList } from "./images-filter.js";

const ROUTE = "/image-cache/images";

export const PAGE = 60;

// {images, cursor, total, examined} as docs/http-api.md has it.
export function listImages(filter, { cursor, limit = PAGE, signal } = {}) {
  return get(ROUTE, { query: { ...forList(filter), limit, cursor }, signal });
}

export const getImage = (id, { signal } = {}) => get(`${ROUTE}/${encodeURIComponent(id)}`, { signal });
export const changeImage = (id, change) => patch(`${ROUTE}/${id}`, change);
export const trashImage = (id) => del(`${ROUTE}/${id}`);
export const purgeImage = (id) => del(`${ROUTE}/${id}`, { query: { purge: 1 } });

export const BULK = `${ROUTE}/bulk`;

// Where a preview comes from. Asked for at the image's own URL it would count as a use, and cleaning would spare what
// somebody merely looked at; here it does not, and what lies in the trash can be seen, too. The sha256 makes that a
// replaced image is shown as it is now.
export function previewUrl(image) {
  return url(`${ROUTE}/${image.id}/content`, { v: image.sha256?.slice(0, 16) });
}

export function downloadUrl(image) {
  return url(`${ROUTE}/${image.id}/content`, { download: 1 });
}

// Where everybody gets it, whole; null: it is served nowhere.
export const publicUrl = (image) => (image.url ? url(image.url) : null);

// Sends another content for a live image; refused (412) when it is no longer the one that is shown.
export function replaceImage(image, file, { onProgress, signal } = {}) {
  return request("PUT", image.url, { file, onProgress, signal, headers: { "If-Match": `"${image.sha256}"`, "Content-Type": "application/octet-stream" } });
}

// All that caches hold of it is asked for anew. Beside its path it may be known by its entity.
export async function invalidateImage(image) {
  return post("/image-cache/invalidate", { path: image.original_path, collection: image.collection });
}

export function restoreImage(image) {
  return post("/image-cache/restore", { paths: [image.original_path], collection: image.collection });
}

export const collections = async ({ signal } = {}) => (await get("/image-cache/status", { signal })).collections;

// The last part of a path.
export const fileName = (path) => path.slice(path.lastIndexOf("/") + 1);
