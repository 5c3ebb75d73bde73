// What happens when: the rooms that one is in, joining them, coming back to them, and what the server says meanwhile.
// It must not know the document; `view` is told what has changed.

import { OUTBOX_MESSAGES, Outbox } from "./outbox.js";
import { Room } from "./room.js";
import { Problem } from "./words.js";

/** Milliseconds that somebody is shown as typing. */
const TYPING_SHOWN_MS = 3_000;
/** Milliseconds between two notices of ours in the same room. The server passes on one every 2 s. */
const TYPING_SENT_MS = 2_000;
/** The most messages that a join is answered with. */
const PAGE = 50;
/** How often a join is tried that cannot be done just now, and the milliseconds between. */
const JOINS = 8;
const PASSING = ["rate_limited", "unavailable", "draining", "server_error", "timeout"];
const SLOWER_MS = 1_000;

const LOST = "The server no longer has all that was said while you were away: messages may be missing here.";
const MISSED = "The server has missed messages and no longer has them: some may be missing here.";

export class Chat {
  /** By name, in the order in which they were joined. */
  rooms = new Map();
  /** The room in front. */
  current = null;
  /** Whether the server has said that it is going away. */
  draining = false;
  outbox;
  #connection = null;
  #username = "";
  #view;
  /** Joins go one after the other: a history does not say which of them it answers. */
  #joins = Promise.resolve();
  #history = [];
  /** Which connection this is. What was begun on an earlier one ends there. */
  #number = 0;

  constructor(view) {
    this.#view = view;
    this.outbox = new Outbox(
      (event, payload) => this.#connection.ask(event, payload),
      (room) => view.pending(room),
      (room, entry, answer) => this.#acknowledged(room, entry, answer),
    );
  }

  /** Go on with this connection. The rooms that one was in are joined again when it is there. */
  attach(connection, username) {
    this.#connection = connection;
    this.#username = username;
  }

  /** Forget everything: somebody else may be next. */
  reset() {
    for (const room of this.rooms.values()) this.#forget(room);
    this.current = null;
    this.#view.rooms();
    this.#view.opened(null);
  }

  // What a person does

  /** Go to a room; join it if need be. */
  open(name) {
    let room = this.rooms.get(name);
    if (!room) {
      room = new Room(name);
      this.rooms.set(name, room);
      if (this.#connection?.connected) this.#enterSoon(room);
    }
    this.current = room;
    this.seen(room);
    this.#view.opened(room);
    this.#view.rooms();
  }

  leave(room) {
    this.#connection.ask("chat:leave", room.name).catch(() => {}); // without a connection one is out already
    this.#remove(room);
  }

  /** Try again to get into a room that was refused. */
  enterAgain(room) {
    this.#enterSoon(room);
    this.#view.state(room);
  }

  /** Say something, once one is there. Gives whether there is a place for it among what waits. */
  say(room, text) {
    const waiting = [...this.rooms.values()].reduce((sum, each) => sum + each.pending.length, 0);
    if (waiting >= OUTBOX_MESSAGES) {
      this.#view.problem(new Problem("outbox_full"), room);
      return false;
    }
    this.outbox.add(room, text);
    return true;
  }

  typed(room) {
    const now = performance.now();
    if (room.state !== "in" || now - (room.typedAt ?? -Infinity) < TYPING_SENT_MS) return;
    room.typedAt = now;
    this.#connection.mention("chat:typing", room.name);
  }

  /** What has come to a room was seen. */
  seen(room) {
    if (room.unread === 0) return;
    room.unread = 0;
    this.#view.rooms();
  }

  // What the connection says

  state(name) {
    this.#number += 1;
    if (name === "connected") this.draining = false;
    for (const room of this.rooms.values()) {
      room.state = "joining";
      for (const who of [...room.typing.keys()]) this.#stopsTyping(room, who);
    }
    if (name !== "connected") return;
    const others = [...this.rooms.values()].filter((room) => room !== this.current);
    for (const room of this.current ? [this.current, ...others] : others) this.#enterSoon(room);
  }

  event(name, payload) {
    if (name === "chat:history") this.#history = payload;
    if (name === "server:draining") {
      this.draining = true;
      this.#view.draining();
    }
    const room = this.rooms.get(payload?.room);
    if (!room) return; // one that we have just left
    if (name === "chat:message") {
      this.#place(room, payload, true);
      if (room.state === "in") room.follow(payload.offset);
    } else if (name === "chat:lost") {
      if (room.state === "in") this.#lost(room, payload.offset);
    } else if (name === "chat:userJoined") {
      room.members = [...room.members, payload.username].sort();
      this.#view.people(room);
    } else if (name === "chat:userLeft") {
      const index = room.members.indexOf(payload.username);
      if (index >= 0) room.members = room.members.toSpliced(index, 1);
      this.#stopsTyping(room, payload.username);
      this.#view.people(room);
    } else if (name === "chat:typing") {
      clearTimeout(room.typing.get(payload.username));
      const timer = setTimeout(() => this.#stopsTyping(room, payload.username), TYPING_SHOWN_MS);
      room.typing.set(payload.username, timer);
      this.#view.typing(room);
    }
  }

  // Steps

  #enterSoon(room) {
    const number = this.#number;
    room.state = "joining";
    room.problem = null;
    this.#joins = this.#joins.then(() => this.#enter(room, () => number === this.#number && this.#has(room)));
  }

  /** Join a room and get what was missed. `wanted` says whether that is still to be done. */
  async #enter(room, wanted) {
    if (!wanted()) return;
    try {
      const there = room.upTo === null ? this.#enterNew(room, wanted) : this.#catchUp(room, wanted);
      if (!(await there)) return;
      room.state = "in";
    } catch (problem) {
      if (!wanted() || problem.code === "gone") return;
      if (!room.entered) {
        this.#remove(room);
        this.#view.problem(problem, room);
        return;
      }
      Object.assign(room, { state: "out", problem });
    }
    this.#view.state(room);
    this.outbox.flush(room);
  }

  async #enterNew(room, wanted) {
    const { answer, history } = await this.#join(room, room.name, wanted);
    if (!wanted()) return false;
    if (history.length >= PAGE) room.older = true;
    for (const message of history) this.#place(room, message, false);
    room.upTo = answer.offset; // also where there are no messages: what is said while we are away comes after it
    room.entered = true;
    return true;
  }

  /**
   * Page by page, from where nothing is missing. Only a page moves that mark: live messages come meanwhile, and if one of
   * them moved it and the connection broke, the pages before that message would never be asked for.
   */
  async #catchUp(room, wanted) {
    for (;;) {
      const after = room.upTo;
      const { answer, history } = await this.#join(room, { room: room.name, after }, wanted);
      if (!wanted()) return false;
      if (answer.lost) this.#showGap(room, after, LOST);
      for (const message of history) this.#place(room, message, true);
      room.upTo = answer.offset;
      if (history.length >= answer.missed) return true;
      if (answer.offset === after) return true; // a server that does not get on would keep us here for ever
    }
  }

  /** One join. A history comes before the acknowledgement that belongs to it. */
  async #join(room, payload, wanted) {
    for (let attempt = 1; ; attempt += 1) {
      this.#history = [];
      try {
        const answer = await this.#connection.ask("chat:join", payload);
        room.members = answer.members;
        this.#view.people(room);
        return { answer, history: this.#history };
      } catch (problem) {
        if (!PASSING.includes(problem.code) || attempt === JOINS || !wanted()) throw problem;
      }
      await new Promise((resolve) => setTimeout(resolve, SLOWER_MS));
      if (!wanted()) throw new Problem("gone");
    }
  }

  /** The server itself has missed what was said up to there, and the history no longer has it. */
  #lost(room, offset) {
    this.#showGap(room, room.upTo, MISSED);
    room.upTo = offset;
  }

  #showGap(room, after, sentence) {
    const gap = room.addGap(after, sentence);
    if (gap) this.#view.placed(room, gap, false);
  }

  #place(room, message, fresh) {
    const own = message.username === this.#username;
    const settled = own && message.clientId ? room.settle(message.clientId) : undefined;
    const placed = room.add(message);
    if (placed) {
      this.#stopsTyping(room, message.username);
      if (fresh && !own && !this.#view.sees(room)) {
        room.unread += 1;
        this.#view.rooms();
      }
      this.#view.placed(room, placed, fresh && !own);
    }
    if (settled) this.#view.pending(room);
  }

  /** The server has a message of ours. It usually came to us before; not if this was a repeated attempt. */
  #acknowledged(room, entry, { id, offset }) {
    const { clientId, text } = entry;
    const timestamp = Number(offset.split("-")[0]);
    this.#place(room, { id, offset, clientId, text, timestamp, room: room.name, username: this.#username }, false);
  }

  #stopsTyping(room, username) {
    if (!room.typing.has(username)) return;
    clearTimeout(room.typing.get(username));
    room.typing.delete(username);
    this.#view.typing(room);
  }

  #has(room) {
    return this.rooms.get(room.name) === room;
  }

  #forget(room) {
    for (const timer of room.typing.values()) clearTimeout(timer);
    this.rooms.delete(room.name);
  }

  #remove(room) {
    this.#forget(room);
    if (this.current === room) {
      this.current = null;
      const last = [...this.rooms.keys()].at(-1);
      if (last === undefined) this.#view.opened(null);
      else this.open(last);
    }
    this.#view.rooms();
  }
}
