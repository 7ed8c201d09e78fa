// Requests to the server that sent this page, and to no other.

const BASE = new URL(".", location.href);

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(new URL(path, BASE), { ...options, credentials: "omit", referrerPolicy: "no-referrer" });
  } catch {
    throw new Error("The server does not answer. Is matex serve still running?");
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Error(answer.error ?? `The server refused (${response.status}).`);
}

export async function get(path) {
  return (await request(path)).json();
}

export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return (await request(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

// model: that is to hear a sound, whose picture depends on it.
export async function upload(file, model) {
  const headers = { "Content-Type": "application/octet-stream", "X-File-Name": encodeURIComponent(file.name).slice(0, 400),
    "X-Model": model };
  return (await request("api/films", { method: "POST", headers, body: file })).json();
}

export async function uploadMask(film, file) {
  const headers = { "Content-Type": "application/octet-stream" };
  return (await request(`api/films/${film}/mask`, { method: "POST", headers, body: file })).json();
}

export function soundAddress(film) {
  return new URL(`api/films/${film.id}/sound`, BASE).href;
}

export async function picture(film) {
  const image = new Image();
  image.src = new URL(`api/films/${film.id}/picture`, BASE).href;
  await image.decode();
  return image;
}

// Start a computation and wait for its result; onprogress gets {state, done, total}. The signal cancels it.
export async function run(path, body, onprogress, signal) {
  const { job } = await post(path, body);
  const address = `api/jobs/${job}`;
  for (;;) {
    if (signal?.aborted) {
      await request(address, { method: "DELETE" });
      throw new DOMException("cancelled", "AbortError");
    }
    const answer = await get(address);
    if (answer.state === "done") return answer.result;
    if (answer.state === "failed") throw new Error(answer.error);
    if (answer.state === "cancelled") throw new DOMException("cancelled", "AbortError");
    onprogress?.(answer);
  }
}

export function save(path, fallback) {
  return saveResponse(request(path), fallback);
}

export function saveFrom(path, body, fallback) {
  const headers = { "Content-Type": "application/json" };
  return saveResponse(request(path, { method: "POST", headers, body: JSON.stringify(body) }), fallback);
}

async function saveResponse(pending, fallback) {
  const response = await pending;
  const disposition = response.headers.get("Content-Disposition") ?? "";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = /filename="([^"]+)"/.exec(disposition)?.[1] ?? fallback;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
