// Messages on their way. Each has an id of ours that stays the same in every attempt, so the server stores it once
// however often it is sent; and it is held until the server has acknowledged it or it comes back to us.

import { Problem } from "./words.js";

/** Messages that wait, of all rooms together, those that wait for the person's decision included. */
export const OUTBOX_MESSAGES = 200;
/** How often a message is sent that nobody acknowledges, or over which the server fails, before the person is asked. */
const TRIES = 3;
/**
 * How often in a row the connection may end while a message is on its way, before the person is asked: the message may be
 * why it ends, and then those behind it would never be sent.
 */
const ENDS = 3;
/** Milliseconds to wait when the server cannot take it now; twice as long each time in a row, up to the most. */
const SLOWER_MS = 1_500;
const SLOWER_MAX_MS = 12_000;
/** Why the server could not take it, and may later. */
const LATER = ["rate_limited", "unavailable", "draining", "server_error"];

export class Outbox {
  #ask;
  #changed;
  #arrived;
  #busy = new WeakSet();
  /** The connection has ended on these: they go one at a time, so that the others are not given up for one of them. */
  #suspects = Promise.resolve();

  /**
   * @param ask  emits an event and gives its acknowledgement
   * @param changed  is told of a room whose messages to send have changed
   * @param arrived  is told of a room, a message that was sent, and what the server acknowledged
   */
  constructor(ask, changed, arrived) {
    this.#ask = ask;
    this.#changed = changed;
    this.#arrived = arrived;
  }

  add(room, text) {
    room.pending.push({ clientId: newId(), text, state: "waiting", tries: 0, ends: 0, refused: 0, problem: null });
    this.#changed(room);
    this.flush(room);
  }

  retry(room, entry) {
    Object.assign(entry, { state: "waiting", tries: 0, ends: 0, refused: 0, problem: null });
    this.#changed(room);
    this.flush(room);
  }

  drop(room, entry) {
    room.settle(entry.clientId);
    this.#changed(room);
  }

  /** Send what waits in a room, one after the other: a retry must not overtake what was written before it. */
  async flush(room) {
    if (this.#busy.has(room)) return;
    this.#busy.add(room);
    try {
      while (room.state === "in") {
        const entry = room.pending.find((each) => each.state === "waiting");
        if (!entry || !(await this.#send(room, entry))) break;
      }
    } finally {
      this.#busy.delete(room);
    }
  }

  /** One attempt. Gives whether to go on. */
  async #send(room, entry) {
    if (entry.ends === 0) return this.#attempt(room, entry);
    return this.#alone(() => {
      if (!room.pending.includes(entry)) return true; // it has arrived, or was taken back
      return room.state === "in" && this.#attempt(room, entry);
    });
  }

  #alone(attempt) {
    const turn = this.#suspects.then(attempt);
    this.#suspects = turn.catch(() => {});
    return turn;
  }

  async #attempt(room, entry) {
    entry.state = "sending";
    entry.tries += 1;
    this.#changed(room);
    let problem;
    try {
      const answer = await this.#ask("chat:message", { room: room.name, text: entry.text, clientId: entry.clientId });
      this.#arrived(room, entry, answer);
      return true;
    } catch (caught) {
      problem = caught;
    }
    const code = problem instanceof Problem ? problem.code : "";
    const later = LATER.includes(code) && !(code === "server_error" && entry.tries >= TRIES);
    entry.ends = code === "gone" ? entry.ends + 1 : 0;
    entry.refused = later ? entry.refused + 1 : 0;
    if (code !== "timeout" && code !== "server_error") entry.tries = 0;
    if (entry.ends >= ENDS) problem = new Problem("cut");
    const lost = (code === "gone" && entry.ends < ENDS) || (code === "timeout" && entry.tries < TRIES);
    Object.assign(entry, lost || later ? { state: "waiting" } : { state: "failed", problem });
    this.#changed(room);
    if (later) await new Promise((resolve) => setTimeout(resolve, slower(entry.refused)));
    return code !== "gone"; // whoever reconnects flushes
  }
}

/** Milliseconds to wait after so many refusals in a row; shortened at random, so that not all windows come back at once. */
function slower(refused) {
  return Math.min(SLOWER_MS * 2 ** (refused - 1), SLOWER_MAX_MS) * (0.75 + Math.random() / 4);
}

/** An id that nobody else makes. (crypto.randomUUID would not do: it is missing on a page without https.) */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, "0")).join("");
}
