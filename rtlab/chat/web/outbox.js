// Messages on their way. Each has an id of ours that stays the same in every attempt, so the server stores it once
// however often it is sent; and it is held until the server has acknowledged it or it comes back to us.

import { Problem } from "./words.js";

/** How often a message is sent that nobody acknowledges, before the person is asked. */
const TRIES = 3;
/**
 * How often in a row the connection may end while a message is on its way, before the person is asked: the message may be
 * why it ends, and then those behind it would never be sent.
 */
const ENDS = 3;
/** Milliseconds to wait when the server says that we say too much. */
const SLOWER_MS = 1_500;

export class Outbox {
  #ask;
  #changed;
  #arrived;
  #busy = new WeakSet();

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
    room.pending.push({ clientId: newId(), text, state: "waiting", tries: 0, ends: 0, problem: null });
    this.#changed(room);
    this.flush(room);
  }

  retry(room, entry) {
    Object.assign(entry, { state: "waiting", tries: 0, ends: 0, problem: null });
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
    if (code === "gone") Object.assign(entry, { tries: 0, ends: entry.ends + 1 });
    if (entry.ends >= ENDS) problem = new Problem("cut");
    const lost = (code === "gone" && entry.ends < ENDS) || (code === "timeout" && entry.tries < TRIES);
    Object.assign(entry, lost || code === "rate_limited" ? { state: "waiting" } : { state: "failed", problem });
    this.#changed(room);
    if (code === "rate_limited") await new Promise((resolve) => setTimeout(resolve, SLOWER_MS));
    return code !== "gone"; // whoever reconnects flushes
  }
}

/** An id that nobody else makes. (crypto.randomUUID would not do: it is missing on a page without https.) */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, "0")).join("");
}
