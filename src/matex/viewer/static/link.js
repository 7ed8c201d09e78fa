// A link that restores what is shown. The state is in the fragment, which browsers do not send to any server. It is
// written when a person copies the link and at no other time, so that phrases stay out of the browser's history.

export function linkTo(state) {
  const address = new URL(location.href);
  address.hash = encodeURIComponent(JSON.stringify(state));
  return address.href;
}

export function linkedState() {
  if (location.hash.length < 2) return {};
  try {
    const state = JSON.parse(decodeURIComponent(location.hash.slice(1)));
    return state !== null && typeof state === "object" && !Array.isArray(state) ? state : {};
  } catch {
    return {};
  }
}
