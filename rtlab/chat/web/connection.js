// The connection to the server: Socket.IO's own client, and what it leaves to its user. It must not know rooms.
//
// The client reconnects by itself when a connection breaks. It does not when the server ended it or refused it, and it
// keeps what is emitted without a connection for later; both are decided here instead.

import { Problem } from "./words.js";

/** Milliseconds that the server has to acknowledge. */
export const ACK_MS = 10_000;
/** Milliseconds before the first attempt after the server has ended the connection; each further one waits longer. */
const AGAIN_MS = 1_000;
const AGAIN_MAX_MS = 15_000;
/** A connection that has lasted so long, in milliseconds, was a good one: the next attempt waits no longer for it. */
const STEADY_MS = 30_000;
/** Milliseconds before its end at which a token is replaced; of one that lasts less than 4 minutes, this part is kept. */
const REFRESH_MS = 60_000;
const REFRESH_SHARE = 0.25;
/** Milliseconds between attempts to replace it: a quarter of what is left, within these. */
const REFRESH_AGAIN_MS = 500;
const REFRESH_AGAIN_MAX_MS = 15_000;
/** The most milliseconds that a browser waits. (It would take more for none.) */
const LONGEST_MS = 2 ** 31 - 1;
/** Milliseconds that the script of Socket.IO's client has to arrive. */
const LIBRARY_MS = 8_000;

/** Socket.IO's client. Rejects if its script cannot be had. */
export function library() {
  if (globalThis.io) return Promise.resolve(globalThis.io);
  const tag = document.getElementById("client");
  return new Promise((resolve, reject) => {
    const give = () => (globalThis.io ? resolve(globalThis.io) : reject(new Problem("library")));
    tag.addEventListener("load", give);
    tag.addEventListener("error", give);
    setTimeout(give, LIBRARY_MS);
  });
}

/**
 * One person's connection.
 *
 * `hears` gets what happens: `state(name, attempt)` with "connecting", "connected" or "retrying"; `event(name, payload)`;
 * `refused(code, message)` when the server does not let these credentials in, which ends it.
 */
export class Connection {
  #socket;
  #credentials;
  #hears;
  #connectedAt = 0;
  /** How many connections there have been: an answer that one of them owes does not come on the next. */
  #number = 0;
  #endings = 0;
  #attempt = 0;
  #renewed = false;
  #timer = 0;
  #refreshTimer = 0;
  #closed = false;

  constructor(io, credentials, hears) {
    this.#credentials = credentials;
    this.#hears = hears;
    this.#socket = io({
      // beside this page, wherever that is: a proxy may have put a prefix before both
      path: new URL("socket.io/", document.baseURI).pathname,
      // asked before every attempt, so a token that was renewed meanwhile is the one that is shown
      auth: (give) => give({ token: this.#credentials.token }),
      autoConnect: false,
      forceNew: true,
    });
    this.#socket.on("connect", () => this.#connected());
    this.#socket.on("connect_error", (error) => this.#failed(error));
    this.#socket.on("disconnect", (reason) => this.#disconnected(reason));
    this.#socket.onAny((name, payload) => this.#hears.event(name, payload));
    this.#socket.io.on("reconnect_attempt", (attempt) => this.#retrying(attempt));
  }

  get connected() {
    return this.#socket.connected;
  }

  open() {
    this.#hears.state("connecting", 0);
    this.#socket.connect();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#refreshTimer);
    this.#socket.disconnect();
  }

  /** Do not wait for the next attempt. */
  tryNow() {
    if (this.connected || this.#closed) return;
    clearTimeout(this.#timer);
    this.#retrying(this.#attempt + 1);
    this.#socket.disconnect().connect();
  }

  /**
   * Emit, and give the acknowledgement. Rejects with a Problem: the server's own, "gone" if the connection broke before
   * the answer, "timeout" if none came. After those two nobody knows whether it was done.
   */
  async ask(event, payload) {
    if (!this.connected) throw new Problem("gone");
    const number = this.#number;
    let answer;
    try {
      answer = await this.#socket.timeout(ACK_MS).emitWithAck(event, payload);
    } catch {
      throw new Problem(this.connected && number === this.#number ? "timeout" : "gone");
    }
    if (answer?.status !== "ok") throw new Problem(answer?.code ?? "unknown", answer?.message ?? "");
    return answer;
  }

  /** Emit what is worth nothing later. */
  mention(event, payload) {
    if (this.connected) this.#socket.volatile.emit(event, payload);
  }

  #connected() {
    this.#number += 1;
    this.#renewed = false;
    this.#attempt = 0;
    this.#connectedAt = performance.now();
    this.#refreshIn(this.#credentials.left - Math.min(REFRESH_MS, this.#credentials.left * REFRESH_SHARE));
    this.#hears.state("connected", 0);
  }

  #refreshIn(milliseconds) {
    clearTimeout(this.#refreshTimer);
    if (!this.#credentials.renewable || !Number.isFinite(milliseconds)) return;
    const wait = Math.min(Math.max(milliseconds, REFRESH_AGAIN_MS), LONGEST_MS);
    this.#refreshTimer = setTimeout(() => this.#refresh(this.#number), wait);
  }

  /** Show the server a newer token before the old one ends. If that fails until then, the next connection shows one. */
  async #refresh(number) {
    let next;
    try {
      await this.#credentials.renew();
      if (!this.connected || number !== this.#number) return; // the next connection shows it
      await this.ask("token:refresh", this.#credentials.token);
      next = this.#credentials.left - Math.min(REFRESH_MS, this.#credentials.left * REFRESH_SHARE);
    } catch {
      next = Math.min(this.#credentials.left * REFRESH_SHARE, REFRESH_AGAIN_MAX_MS);
    }
    if (this.connected && number === this.#number) this.#refreshIn(next);
  }

  #retrying(attempt) {
    this.#attempt = attempt;
    this.#hears.state("retrying", attempt);
  }

  #disconnected(reason) {
    clearTimeout(this.#refreshTimer);
    if (this.#closed || reason === "io client disconnect") return;
    this.#retrying(0);
    if (performance.now() - this.#connectedAt > STEADY_MS) this.#endings = 0;
    // The token is over, or we said too much. Which one, the next attempt tells: the server's clock decides, not ours.
    if (reason === "io server disconnect") return this.#again();
    // The client tries again by itself, and forgets with each success how often it had to: we do not.
    this.#socket.io.reconnectionDelay(this.#delay());
  }

  #failed(error) {
    if (this.#closed) return;
    if (this.#socket.active) {
      this.#retrying(this.#attempt); // the network; the client tries again by itself and counts
    } else if (error.data?.code?.startsWith("token_")) {
      this.#notLetIn(error.data.code, error.message);
    } else {
      this.#again();
    }
  }

  async #notLetIn(code, message) {
    if (this.#credentials.renewable && !this.#renewed) {
      this.#renewed = true;
      try {
        await this.#credentials.renew();
        if (!this.#closed) this.#socket.connect();
        return;
      } catch (problem) {
        if (problem.code === "gone") {
          this.#renewed = false;
          this.#again();
          return;
        }
      }
    }
    this.#closed = true;
    this.#hears.refused(code, message);
  }

  /** Milliseconds to wait: more for each connection that ended soon. */
  #delay() {
    const delay = Math.min(AGAIN_MS * 2 ** this.#endings, AGAIN_MAX_MS);
    this.#endings += 1;
    return delay;
  }

  #again() {
    const delay = this.#delay();
    this.#retrying(this.#attempt + 1);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#socket.connect(), delay);
  }
}
