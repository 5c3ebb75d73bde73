// Who the person at this window is.
//
// A token lives in a variable and nowhere else. Whoever has it is that user until it ends, and what is in localStorage or
// sessionStorage can be read by every script that ever runs on this origin, today's and next year's, and lies on the
// disk; a variable in a module can be read by nobody and is gone with the window. The price is that a reload asks again.
// Where people sign in by name (dev), the name is kept for this tab: it proves nothing to anybody.

import { Problem } from "./words.js";

const KEPT_NAME = "rtlab.chat.name";

/** What one signs in with. */
export class Credentials {
  #name;
  #endsAt = Infinity;

  /**
   * @param {string} token  a JSON Web Token. It is read for its name only; whether it is true is the server's business.
   * @param {string?} name  where the page signs in by name: the server gives another token for it
   */
  constructor(token, name = null) {
    const claims = read(token);
    this.user = claims.sub;
    this.username = claims.username;
    this.#name = name;
    this.#take(token);
  }

  /** Sign in by name, as a server for trying out allows. */
  static async byName(name) {
    const credentials = new Credentials(await fetchToken(name), name);
    try {
      sessionStorage.setItem(KEPT_NAME, name);
    } catch {
      // a browser may forbid it in a frame; then the name is typed again
    }
    return credentials;
  }

  get renewable() {
    return this.#name !== null;
  }

  /** Milliseconds until the token ends, as far as it says so. */
  get left() {
    return this.#endsAt - performance.now();
  }

  /** Get a fresh token. */
  async renew() {
    this.#take(await fetchToken(this.#name));
  }

  #take(token) {
    this.token = token;
    const { exp, iat } = read(token);
    const now = Date.now() / 1000;
    const whole = exp - (iat ?? now);
    const left = exp - now;
    const seconds = left > 0 && left <= whole ? left : whole; // the server accepts it, so else the clock here is wrong
    this.#endsAt = Number.isFinite(seconds) ? performance.now() + 1000 * seconds : Infinity;
  }
}

export function keptName() {
  try {
    return sessionStorage.getItem(KEPT_NAME) ?? "";
  } catch {
    return "";
  }
}

/**
 * What stands behind "#" in the address: {token, room}, "" for what is not there. The token is erased from the address
 * at once, before anybody looks over a shoulder, bookmarks the page or goes back in its history.
 */
export function fromFragment() {
  const said = new URLSearchParams(location.hash.slice(1));
  const found = { token: said.get("token") ?? "", room: said.get("room") ?? "" };
  if (said.has("token")) keepRoomInFragment(found.room);
  return found;
}

/** Leave a room's name, and nothing else, behind "#": a reload comes back to it. */
export function keepRoomInFragment(room) {
  const fragment = room ? `#${new URLSearchParams({ room })}` : "";
  history.replaceState(history.state, "", `${location.pathname}${location.search}${fragment}`);
}

async function fetchToken(username) {
  let response;
  try {
    response = await fetch(new URL("sign-in", document.baseURI), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ username }),
    });
  } catch {
    throw new Problem("gone");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem("refused", answer.message ?? `HTTP ${response.status}`);
  return answer.token;
}

/** The claims of a token (RFC 7519 §3): the part between its two dots. */
function read(token) {
  try {
    const [, body] = token.split(".");
    const bytes = Uint8Array.from(atob(body.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return { ...claims, sub: String(claims.sub), username: String(claims.username) };
  } catch {
    throw new Problem("refused", "This is no token: expected three parts with dots between them");
  }
}
