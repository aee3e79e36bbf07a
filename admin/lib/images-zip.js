// Several images as one archive, made here: a ZIP whose files are stored as they are (images do not get smaller). Format:
// PKWARE APPNOTE.TXT 6.3, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.16 (end).

import { ApiError } from "./api.js";
import { downloadUrl } from "./images-api.js";

export const MOST_FILES = 500;
export const MOST_BYTES = 256 * 1048576;

const UTF8_NAMES = 0x0800;
const VERSION = 20;

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(data) {
  let sum = ~0;
  for (const byte of data) sum = TABLE[(sum ^ byte) & 0xff] ^ (sum >>> 8);
  return ~sum >>> 0;
}

// Little-endian numbers: pairs of size in bytes and value.
function numbers(...pairs) {
  const out = new DataView(new ArrayBuffer(pairs.reduce((sum, [size]) => sum + size, 0)));
  let at = 0;
  for (const [size, value] of pairs) {
    if (size === 2) out.setUint16(at, value, true);
    else out.setUint32(at, value, true);
    at += size;
  }
  return new Uint8Array(out.buffer);
}

// MS-DOS's date and time: [time, date].
function stamp(iso) {
  const at = new Date(iso ?? Date.now());
  const time = (at.getHours() << 11) | (at.getMinutes() << 5) | (at.getSeconds() >> 1);
  return [time, (Math.max(0, at.getFullYear() - 1980) << 9) | ((at.getMonth() + 1) << 5) | at.getDate()];
}

// files: [{name, date, data}]. Sizes and offsets stay below 4 GiB, as MOST_BYTES sees to.
export function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, date, data } of files) {
    const bytes = new TextEncoder().encode(name);
    const [time, day] = stamp(date);
    const about = [[2, VERSION], [2, UTF8_NAMES], [2, 0], [2, time], [2, day], [4, crc32(data)], [4, data.length], [4, data.length], [2, bytes.length], [2, 0]];
    const head = numbers([4, 0x04034b50], ...about);
    directory.push(numbers([4, 0x02014b50], [2, VERSION], ...about, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), bytes);
    parts.push(head, bytes, data);
    offset += head.length + bytes.length + data.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const count = files.length;
  const end = numbers([4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, offset], [2, 0]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

async function fetched(image, signal) {
  const answer = await fetch(downloadUrl(image), { signal, credentials: "same-origin" });
  if (!answer.ok) throw new ApiError(answer.status, { title: answer.statusText, detail: `${image.original_path}: ${answer.statusText}` });
  const data = new Uint8Array(await answer.arrayBuffer());
  // A backslash is an ordinary character here, but parts folders elsewhere.
  return { name: `${image.collection}/${image.original_path}`.replaceAll("\\", "_"), date: image.source_mtime, data };
}

// Has the browser save them. onProgress(done, all).
export async function saveZip(images, { signal, onProgress }) {
  const files = [];
  for (const image of images) {
    onProgress(files.length, images.length);
    files.push(await fetched(image, signal));
  }
  save(URL.createObjectURL(zip(files)), "images.zip");
}

export function save(href, name) {
  const link = document.createElement("a");
  Object.assign(link, { href, download: name });
  link.click();
  if (href.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(href), 60000);
}
