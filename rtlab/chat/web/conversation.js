// The messages of the room in front. It must not know the connection.

import { byId, element, paintAvatar, say, show } from "./dom.js";
import { KEPT } from "./room.js";
import { clock, count, day, inFull, inWords, sameDay } from "./words.js";

/** Messages of one person within so many milliseconds stand together under one name. */
const TOGETHER_MS = 5 * 60_000;
/** Pixels from its end in which a conversation still counts as read to the end. */
const NEAR_PX = 48;
/** Milliseconds of silence after a history was filled in: a screen reader reads out what comes, not what was there. */
const HUSH_MS = 1_000;

export class Conversation {
  #scroller = byId("scroller");
  #log = byId("log");
  #list = byId("messages");
  #pendingList = byId("pending");
  #newer = byId("newer");
  #room = null;
  #username = "";
  #nodes = new Map();
  #items = new WeakMap();
  #pending = new Map();
  /** Whether the end is in view, and is to stay there. */
  #atEnd = true;
  #unseen = 0;
  /** Where the view was when we last looked. */
  #top = 0;
  /** Whether something above was dropped since, which moves the view up although nobody does. */
  #trimmed = false;
  #hush = 0;
  #actions;

  /** @param actions  `retry(room, entry)` and `edit(room, entry)` for messages that failed; `read(room)` at the end */
  constructor(actions) {
    this.#actions = actions;
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#newer.addEventListener("click", () => this.toEnd());
    const sizes = new ResizeObserver(() => {
      if (this.#atEnd) this.#scroller.scrollTop = this.#scroller.scrollHeight;
      this.#top = this.#scroller.scrollTop;
      this.#trimmed = false;
    });
    for (const each of [this.#scroller, this.#log, this.#pendingList]) sizes.observe(each);
  }

  get atEnd() {
    this.#look(); // a browser tells of scrolling a frame later
    return this.#atEnd;
  }

  /** Show a room, or none. */
  open(room, username) {
    this.#quietly();
    this.#room = room;
    this.#username = username;
    this.#nodes.clear();
    this.#pending.clear();
    this.#list.replaceChildren();
    this.#pendingList.replaceChildren();
    for (const item of room?.items ?? []) this.#list.append(this.#make(item));
    for (const node of this.#list.children) this.#fit(node);
    show(byId("older"), Boolean(room?.older));
    show(byId("nothing"), room === null);
    if (room) this.pending(room);
    this.toEnd();
  }

  /** An item has come. `fresh`: somebody has said it just now, or while we were away. */
  placed(room, { item, before, dropped }, fresh) {
    if (room !== this.#room) return;
    if (room.state !== "in") this.#quietly();
    const node = this.#make(item);
    this.#list.insertBefore(node, this.#nodes.get(before?.key) ?? null);
    const next = node.nextElementSibling;
    for (const each of dropped) {
      this.#nodes.get(each.key)?.remove();
      this.#nodes.delete(each.key);
    }
    if (dropped.length > 0) this.#trimmed = true;
    for (const each of [node, next, this.#list.firstElementChild]) if (each?.isConnected) this.#fit(each);
    show(byId("older"), room.older);
    if (fresh && !this.atEnd) this.#tell(this.#unseen + 1);
  }

  /** What is to be sent has changed. */
  pending(room) {
    if (room !== this.#room) return;
    const wanted = new Set(room.pending.map((entry) => entry.clientId));
    for (const [clientId, node] of this.#pending) {
      if (wanted.has(clientId)) continue;
      node.remove();
      this.#pending.delete(clientId);
    }
    for (const entry of room.pending) {
      if (!this.#pending.has(entry.clientId)) {
        const node = this.#makePending(room, entry);
        this.#pending.set(entry.clientId, node);
        this.#pendingList.append(node);
      }
      this.#paint(this.#pending.get(entry.clientId), entry, room);
    }
  }

  /** Go to the end and stay there. */
  toEnd() {
    this.#atEnd = true;
    this.#tell(0);
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#top = this.#scroller.scrollTop;
  }

  #scrolled() {
    this.#look();
    if (!this.#atEnd) return;
    this.#tell(0);
    if (this.#room) this.#actions.read(this.#room);
  }

  #look() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    if (scrollHeight - scrollTop - clientHeight < NEAR_PX) this.#atEnd = true;
    // Somebody reads further up. Otherwise something has grown, and the observer goes after it.
    else if (scrollTop < this.#top && !this.#trimmed) this.#atEnd = false;
    this.#top = scrollTop;
  }

  #tell(unseen) {
    this.#unseen = unseen;
    show(this.#newer, unseen > 0);
    const number = unseen > KEPT ? `${KEPT}+` : unseen;
    if (unseen > 0) say(this.#newer, count(number, "new message", "new messages"));
  }

  #quietly() {
    this.#log.setAttribute("aria-live", "off");
    clearTimeout(this.#hush);
    this.#hush = setTimeout(() => this.#log.setAttribute("aria-live", "polite"), HUSH_MS);
  }

  #make(item) {
    const node = item.gap ? element("li", { class: "notice", text: item.sentence }) : this.#makeMessage(item);
    this.#nodes.set(item.key, node);
    this.#items.set(node, item);
    return node;
  }

  #makeMessage(item) {
    const own = item.username === this.#username;
    const time = element("time", {
      dir: "ltr",
      text: clock(item.timestamp),
      datetime: new Date(item.timestamp).toISOString(),
      title: inFull(item.timestamp),
    });
    return element(
      "li",
      { class: own ? "message own" : "message" },
      element("div", { class: "day", hidden: true }, element("span", { text: day(item.timestamp) })),
      element(
        "div",
        { class: "row" },
        paintAvatar(element("span", { class: "avatar", "aria-hidden": "true" }), item.username),
        element(
          "div",
          { class: "bubble" },
          element("p", { class: "name" }, element("bdi", { text: own ? "You" : item.username })),
          // the text alone decides in which direction its lines run
          element("div", { dir: "auto" }, element("p", { class: "text", text: item.text }), time),
        ),
      ),
    );
  }

  /** Day and name are said once for what stands together, which the message before decides. */
  #fit(node) {
    const item = this.#items.get(node);
    if (item.gap) return;
    const above = this.#items.get(node.previousElementSibling);
    const said = above?.gap ? this.#items.get(node.previousElementSibling.previousElementSibling) : above;
    const newDay = !said || !sameDay(said.timestamp, item.timestamp);
    show(node.firstElementChild, newDay);
    const together = said === above && said?.username === item.username;
    const soon = together && item.timestamp - said.timestamp < TOGETHER_MS;
    node.classList.toggle("together", soon && !newDay);
  }

  #makePending(room, entry) {
    const again = element("button", { type: "button", class: "quiet", text: "Try again" });
    const edit = element("button", { type: "button", class: "quiet", text: "Edit" });
    again.addEventListener("click", () => this.#actions.retry(room, entry));
    edit.addEventListener("click", () => this.#actions.edit(room, entry));
    const bubble = element(
      "div",
      { class: "bubble" },
      element("p", { class: "name" }, element("bdi", { text: "You" })),
      element("div", { dir: "auto" }, element("p", { class: "text", text: entry.text })),
      element("p", { class: "fate" }),
      element("p", { class: "failed", hidden: true }, again, " ", edit),
    );
    return element("li", { class: "message own" }, element("div", { class: "row" }, bubble));
  }

  #paint(node, entry, room) {
    const failed = entry.state === "failed";
    node.classList.toggle("unsent", failed);
    node.classList.toggle("sending", !failed && room.state === "in");
    const fate = failed ? inWords(entry.problem) : room.state === "in" ? "Sending …" : "Waits for the connection";
    say(node.querySelector(".fate"), fate);
    show(node.querySelector(".failed"), failed);
  }
}
