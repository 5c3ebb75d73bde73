// What stands beside the conversation: the rooms, and who is here. On a narrow screen each is a drawer.

import { byId, element, paintAvatar, say, show } from "./dom.js";
import { count } from "./words.js";

/** The list of rooms that one is in. A room keeps its button: whoever has the focus on it does not lose it. */
export class RoomList {
  #list = byId("room-list");
  #nodes = new Map();
  #open;

  /** @param {(name: string) => void} open */
  constructor(open) {
    this.#open = open;
  }

  update(rooms, current) {
    for (const [room, node] of this.#nodes) {
      if (rooms.get(room.name) === room) continue;
      node.remove();
      this.#nodes.delete(room);
    }
    let elsewhere = 0;
    for (const room of rooms.values()) {
      if (!this.#nodes.has(room)) this.#nodes.set(room, this.#list.appendChild(this.#make(room)));
      const button = this.#nodes.get(room).firstElementChild;
      if (room === current) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      const badge = button.querySelector(".badge");
      show(badge, room.unread > 0);
      say(badge.firstElementChild, room.unread > 99 ? "99+" : String(room.unread));
      button.classList.toggle("out", room.state === "out");
      if (room !== current) elsewhere += room.unread;
    }
    show(byId("unread-elsewhere"), elsewhere > 0);
    byId("show-rooms").setAttribute("aria-label", elsewhere ? `Rooms, ${elsewhere} unread` : "Rooms");
  }

  #make(room) {
    const name = element("bdi", { class: "room-name", text: room.name });
    const unread = element("span", { class: "hidden", text: " unread" });
    const badge = element("span", { class: "badge", hidden: true }, element("span"), unread);
    const sign = element("span", { class: "sign", "aria-hidden": "true", text: "#" });
    const button = element("button", { type: "button" }, sign, name, " ", badge);
    button.addEventListener("click", () => this.#open(room.name));
    return element("li", {}, button);
  }
}

/** Who is in the room in front. Many come at once after a restart: they are drawn once a frame. */
export class PeopleList {
  #list = byId("people-list");
  #frame = 0;

  update(room, username) {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      const members = room?.members ?? [];
      this.#list.replaceChildren(...members.map((name) => person(name, name === username)));
      say(byId("people-count"), members.length ? String(members.length) : "");
      say(byId("room-people"), members.length ? `${count(members.length, "person", "people")} here` : "");
    });
  }
}

function person(name, own) {
  const circle = paintAvatar(element("span", { class: "avatar small", "aria-hidden": "true" }), name);
  return element("li", {}, circle, element("bdi", { text: name }), own ? element("span", { class: "note", text: "you" }) : "");
}

/**
 * A panel that is a drawer where there is no place for it: a button opens it; its own button, Escape, or a click
 * beside it close it, and the focus goes back to where it was.
 */
export class Drawer {
  #panel;
  #button;
  #behind = byId("conversation");
  #curtain = byId("curtain");

  constructor(panel, button) {
    this.#panel = panel;
    this.#button = button;
    button.addEventListener("click", () => this.open());
    panel.querySelector(".close").addEventListener("click", () => this.close());
    this.#curtain.addEventListener("click", () => this.close());
    addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.isOpen) return;
      event.preventDefault();
      this.close();
    });
    // a window that is made wide shows the panel at its place
    addEventListener("resize", () => this.isOpen && getComputedStyle(button).display === "none" && this.close(false));
  }

  get isOpen() {
    return this.#panel.classList.contains("open");
  }

  open() {
    this.#set(true);
    this.#panel.querySelector(".close").focus();
  }

  /** @param {boolean} back  whether the focus goes back to the button */
  close(back = true) {
    if (!this.isOpen) return;
    this.#set(false);
    if (back) this.#button.focus();
  }

  #set(open) {
    this.#panel.classList.toggle("open", open);
    this.#curtain.classList.toggle("open", open);
    this.#behind.inert = open;
    this.#button.setAttribute("aria-expanded", String(open));
  }
}
